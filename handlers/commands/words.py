"""The words people use for commands and keys, in both languages, and the grammars of durations and lists of names.

Tables only, and the pure functions that read them. What a command *does* is not known here; its documented spellings
stand in its `Form`, the synonyms here are added to them.

Where two synonyms would mean two commands, the more careful reading is taken: `add group` and `添加组` add members
(`group create`, `new group`, `新建组` create), `remove group` removes members (`delete group`, `删除组` delete).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import Literal

# --- letters ----------------------------------------------------------------------------------------------------------

CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters that are written without blanks between words, as the inside of a character class."""

SEPARATORS = ",;、\n"
"""What stands between names, after folding (full-width `，` and `；` fold to these)."""

OPENERS = {'"': '"“”', "“": '”“"', "”": '”“"', "'": "'’", "‘": "’'", "’": "’'", "「": "」", "『": "』"}
"""Opening quote -> what may close it; people mix them up within a family."""

_TRADITIONAL = (
    "聯係繫組員刪測試幫驗證碼備註靜認領決隊額審計語狀態關銷創編輯機電話郵鑰簽稱時區長單確雲監預覽輪換誰遞頁說顯輯結備應"
)
_SIMPLIFIED = (
    "联系系组员删测试帮验证码备注静认领决队额审计语状态关销创编辑机电话邮钥签称时区长单确云监预览轮换谁递页说显辑结备应"
)

_FOLD: dict[int, str] = {
    **{code: chr(code - 0xFEE0).lower() for code in range(0xFF01, 0xFF5F)},
    **{ord(old): new for old, new in zip(_TRADITIONAL, _SIMPLIFIED, strict=True)},
    **{code: chr(code).lower() for code in range(ord("A"), ord("Z") + 1)},
    **{
        code: str(unicodedata.digit(chr(code)))
        for code in range(0x80, 0x20000)
        if unicodedata.category(chr(code)) == "Nd"
    },
    ord("\u2212"): "-",
}

_WIDTH: dict[int, str] = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}

# Lone surrogates cannot be stored or sent; format characters (zero-width, direction marks, tags) are invisible.
_INVISIBLE = re.compile(
    "[\ud800-\udfff\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BLANKED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u115f\u1160\u2028\u2029\u3164\uffa0\r]")


def cleaned(text: str) -> str:
    """The text without invisible characters; control characters are blanks, any line end is `\\n`."""
    text = _INVISIBLE.sub("", text)
    return _BLANKED.sub(" ", text.replace("\r\n", "\n"))


def folded(text: str) -> str:
    """Lower case, half width, ASCII digits, simplified keyword characters: for matching. As long as the text itself."""
    return text.translate(_FOLD)


def halved(text: str) -> str:
    """The text with full-width letters, digits and signs made half-width; case stays."""
    return text.translate(_WIDTH)


# --- commands ---------------------------------------------------------------------------------------------------------

NOUNS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "contact": (("contact",), ("contacts",), ("联系人", "联络人", "联络员")),
    "group": (("group", "contact group"), ("groups", "contact groups"), ("组",)),
    "source": (("source", "alert source"), ("sources", "alert sources"), ("告警源", "报警源")),
    "admin": (("admin", "administrator"), ("admins", "administrators"), ("管理员",)),
    "silence": (("silence",), ("silences",), ("静默",)),
    "template": (("template", "card template"), ("templates",), ("模板", "卡片模板")),
}
"""Noun of a form -> singular, plural, Chinese; the plural is understood wherever the singular is, and alone lists."""

VERBS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "add": (("add", "create", "new", "register"), ("添加", "新增", "增加", "新建", "创建")),
    "create": (("create", "new", "make"), ("创建", "新建", "新增", "建立")),
    "show": (("show", "view", "get", "display", "info"), ("查看", "显示", "详情")),
    "list": (("list", "ls", "search", "find"), ("列表", "列出", "查找", "搜索")),
    "edit": (("edit", "change", "update", "modify", "set"), ("修改", "编辑", "更新", "更改")),
    "remove": (("remove", "rm", "delete", "del"), ("删除", "移除")),
    "delete": (("delete", "del", "drop"), ("删除", "解散")),
    "rename": (("rename",), ("改名", "重命名")),
    "note": (("note", "describe"), ("备注", "说明")),
    "rotate": (("rotate", "renew"), ("轮换", "更换")),
    "preview": (("preview", "try"), ("预览",)),
    "clear": (("clear", "reset", "remove", "delete"), ("清除", "删除", "移除", "重置")),
    "end": (("end", "stop", "remove", "delete"), ("结束", "停止", "取消", "解除", "删除")),
}
"""Verb of a form -> what else is said for it, English and Chinese."""

VERBS_OF_FORM: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "group add": (("add",), ("添加", "加入")),
    "group remove": (("remove", "rm"), ("移除", "移出")),
    "admin add": (("add", "new", "create", "grant"), ("添加", "新增", "增加")),
    "admin remove": (("remove", "rm", "delete", "del", "revoke"), ("删除", "移除", "撤销")),
}
"""Forms whose verb must not borrow from a sibling (`group add` against `group create`)."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "me": (
        "my contact", "my phone", "my email", "my webhook", "whoami",
        "我的联系人", "我的手机", "我的手机号", "我的电话", "我的邮箱",
    ),
    "verify": ("resend code",),
    "code": ("verification code", "my code", "my code is", "校验码", "我的验证码"),
    "sync cloudmonitor": (
        "import cloudmonitor", "cloudmonitor import", "sync cloud monitor", "sync cms", "导入云监控", "云监控同步",
    ),
    "sync das": ("import das", "das import", "导入das", "das同步", "同步das联系人"),
    "alerts": ("alert list", "list alerts", "show alerts", "view alerts", "open alerts", "查看告警列表", "列出告警"),
    "alert": ("show alert", "view alert", "get alert", "alert show", "查看告警", "告警详情"),
    "deliveries": ("delivery list", "list deliveries", "show deliveries", "delivery log", "投递记录", "查看投递"),
    "retry": ("resend", "retry delivery", "重新投递", "重发"),
    "ack": ("acknowledge", "ack alert", "acknowledge alert", "认领告警"),
    "unack": ("unacknowledge",),
    "resolve": ("resolve alert", "解决告警", "已解决"),
    "silence end": ("unsilence",),
    "who": ("who gets", "who would get", "谁会收到"),
    "queue": ("show queue", "list queue", "查看队列"),
    "quota": ("quotas", "show quota", "show quotas", "查看配额"),
    "audit": ("audit log", "show audit", "审计日志", "查看审计"),
    "language": ("lang", "set language", "change language", "切换语言", "设置语言"),
    "status": ("show status", "查看状态"),
    "more": ("next", "next page"),
}  # fmt: skip
"""Form -> spellings that are not noun and verb; a spelling a form documents itself always wins."""

WHOLE = frozenset({"yes", "no", "more"})
"""Forms that count only when they are all that was said: `no` is an answer, `no idea` is not."""

APART = frozenset({"我", "联系人组", "联络人组"})
"""Chinese spellings that begin ordinary words: letters may not follow without a blank (`我们…`, `…组长`)."""

NEUTRAL = frozenset({"?", "h", "y", "n", "ok"})
"""Spellings that are the same in both languages."""

NUMBERED = frozenset({"alert", "ack", "unack", "resolve", "note", "retry", "silence", "silence end"})
"""Forms whose digits are numbers of alerts and the like, never phone numbers or names."""

CODED = frozenset({"code", "verify", "me", "link"})
"""Forms in which six digits are a code; elsewhere they may be part of a name."""

CODE_WORDS = frozenset({"code", "verification", "my", "is", "the", "验证码", "校验码", "我的", "是", "为"})
"""What people write around the digits."""

# --- keys -------------------------------------------------------------------------------------------------------------

KEYS: dict[str, tuple[str, ...]] = {
    "to": ("to", "into", "group", "groups", "加入", "加入到", "加到", "并加入", "到", "改为", "改成", "为"),
    "note": ("note", "notes", "remark", "备注", "说明"),
    "members": ("members", "member", "成员", "组员"),
    "secret": ("secret", "密钥", "加签密钥", "签名密钥", "加签"),
    "phone": ("phone", "mobile", "tel", "telephone", "cell", "电话", "电话号码", "手机", "手机号", "手机号码"),
    "email": ("email", "e-mail", "mail", "邮箱", "邮件", "电子邮箱", "电子邮件"),
    "webhook": ("webhook", "hook", "url", "robot", "机器人"),
    "name": ("name", "姓名", "名称", "名字", "全名"),
    "for": ("for", "时长", "持续"),
    "because": ("because", "reason", "原因", "因为", "理由"),
    "language": ("language", "lang", "语言"),
    "timezone": ("timezone", "tz", "时区"),
    "mention": ("mention", "mentions", "提醒", "艾特"),
}
"""Canonical key -> its spellings; canonical keys are what a `Form` lists and what `Request.keys` holds."""

SHAPE_OF_KEY = {"phone": "phone", "email": "email", "webhook": "url"}
"""Keys whose value has a shape of its own, so that the key is often left out."""

LISTS = frozenset({"to", "members"})
"""Keys whose value is a list of names: quotes that protect a separator stay, `names_of` reads the value."""

TEXTS = frozenset({"note", "because"})
"""Keys whose value is running text."""

LANGUAGES = {
    "en": "en",
    "english": "en",
    "英文": "en",
    "英语": "en",
    "zh": "zh",
    "chinese": "zh",
    "中文": "zh",
    "cn": "zh",
}
"""What people call the two languages."""

Wish = Literal["language", "timezone", "mention"]
"""Fields about the cards that a contact gets."""

MENTION = {
    "on": "on",
    "always": "on",
    "开": "on",
    "开启": "on",
    "off": "off",
    "never": "off",
    "关": "off",
    "关闭": "off",
}
"""Whether somebody wants to be mentioned in cards."""

NONE = frozenset({"none", "无", "-", "remove", "删除"})
"""Instead of a new value: take the old one away."""

# --- durations --------------------------------------------------------------------------------------------------------

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "秒", "秒钟"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "分", "分钟"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "小时", "钟头"), 3600),
    **dict.fromkeys(("d", "day", "days", "天", "日"), 86400),
    **dict.fromkeys(("w", "week", "weeks", "周", "星期", "礼拜"), 7 * 86400),
}
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}


def _any(words: tuple[str, ...] | list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_PART = (
    r"(?:(?:(?P<_n>\d{1,6}(?:\.\d{1,3})?)\s*|(?P<_w>half(?:\s+an?)?|an?|one)[\s-]+)"
    rf"(?P<_u>{_any([unit for unit in _UNITS if unit.isascii()])})(?![a-z])"
    rf"|(?P<_c>\d{{1,6}}(?:\.\d{{1,3}})?|[{''.join(_DIGITS)}十]{{1,3}}|半)\s*"
    rf"(?P<_g>个?半?)\s*(?P<_v>{_any([unit for unit in _UNITS if not unit.isascii()])})(?P<_t>半?))"
)
"""One number with its unit, in digits or in words."""


def _part(prefix: str) -> str:
    """`_PART` with group names that begin with `prefix`, so that it may stand twice in one pattern."""
    return _PART.replace("(?P<_", f"(?P<{prefix}")


_ONE = re.compile(_part("p"))
DURATION = re.compile(rf"{_part('a')}(?:\s*(?:and\s+)?{_part('b')}){{0,5}}")
"""A whole duration in folded text: `2h`, `1h30m`, `90 minutes`, `2小时`, `半小时`, `一个半小时`."""


def _number(word: str) -> float:
    """The value of `2`, `1.5`, `half`, `an`, `三`, `十二`, `半`."""
    if word[0].isdigit() and word.isascii():
        return float(word)
    if word.startswith("half") or word == "半":
        return 0.5
    if word in ("a", "an", "one"):
        return 1
    tens, ten, ones = word.rpartition("十")
    if not ten:
        return float(_DIGITS[word]) if word in _DIGITS else 0
    return 10 * (_DIGITS.get(tens, 0) if tens else 1) + (_DIGITS.get(ones, 0) if ones else 0)


def duration(text: str) -> timedelta | None:
    """How long `2h`, `30m`, `1d`, `1h30m`, `90 minutes`, `2小时`, `半小时`, `1天` is.

    None for anything else, for nothing at all (`0h`) and for a bare number, whose unit nobody knows.
    """
    fold = folded(cleaned(text)).strip(" \n。.,!")
    if not DURATION.fullmatch(fold):
        return None
    seconds = 0.0
    for part in _ONE.finditer(fold):
        half = 0.5 if "半" in ((part["pg"] or "") + (part["pt"] or "")) else 0
        seconds += (_number(part["pn"] or part["pw"] or part["pc"]) + half) * _UNITS[part["pu"] or part["pv"]]
    return timedelta(seconds=seconds) if seconds > 0 else None


# --- quotes -----------------------------------------------------------------------------------------------------------


def closing(fold: str, start: int) -> int:
    """Where the quote that opens at `start` is closed, -1 when it is not (then it is an ordinary character).

    A single quote closes only at the end of a word, so that the apostrophe of O'Brien neither opens nor closes.
    """
    closers = OPENERS[fold[start]]
    if "'" in closers:
        found = _SINGLE_END.search(fold, start + 1)
        return found.start() if found else -1
    ends = [at for at in (fold.find(closer, start + 1) for closer in closers) if at >= 0]
    return min(ends, default=-1)


_SINGLE_END = re.compile(rf"['’](?=$|[\s,;、:.!?。）)\]]|[{CJK}])")


def quoted(value: str) -> str:
    """The value in quotes that protect it in a command; as it is when it contains every kind of quote."""
    for opener, closer in (('"', '"“”＂'), ("「", "」"), ("『", "』"), ("“", '”“"＂')):
        if not any(char in closer for char in value):
            return f"{opener}{value}{closer[0]}"
    return value


def names_of(value: str) -> tuple[str, ...]:
    """The names of a list: `dba, "Li, Wei" 、 ops` are three. Blanks inside a name are kept as one."""
    value = cleaned(value)
    fold = folded(value)
    names: list[str] = []
    start = at = 0

    def add(name: str) -> None:
        if name := " ".join(name.split()):
            names.append(name)

    while at < len(fold):
        char = fold[at]
        opens = char in OPENERS and (at == 0 or fold[at - 1].isspace() or fold[at - 1] in SEPARATORS or char in "“「『")
        end = closing(fold, at) if opens else -1
        if end >= 0:
            add(value[start:at])
            add(value[at + 1 : end])
            start = at = end + 1
        elif char in SEPARATORS:
            add(value[start:at])
            start = at = at + 1
        else:
            at += 1
    add(value[start:])
    return tuple(names)
