"""What people type, and the command that is meant."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.commands.parser import MAX_CHARS, UnknownCommand, parse
from handlers.commands.request import Request
from handlers.errors import CommandError
from handlers.texts import Language, render
from tests.handlers.commands.parser_forms import FORMS

DINGTALK = "https://oapi.dingtalk.com/robot/send?access_token=4f3a"
SECRET = "SEC" + "0a1b2c3d" * 8
EMPTY = Request("", "en")


def check(text: str, form: str, expected: dict[str, Any]) -> None:
    """Asserts form and every value; fields that are not named must be empty (`words` and `rest` only when named)."""
    request = parse(text, FORMS)
    assert request.form == form
    for name in ("names", "phones", "emails", "urls", "codes", "numbers", "mentions", "keys", "text"):
        assert getattr(request, name) == expected.get(name, getattr(EMPTY, name)), name
    for name in ("words", "rest", "language"):
        if name in expected:
            assert getattr(request, name) == expected[name], name


HEADS: tuple[tuple[str, str, Language], ...] = (
    ("contact list", "contact list", "en"),
    ("list contact", "contact list", "en"),
    ("list contacts", "contact list", "en"),
    ("contacts", "contact list", "en"),
    ("show contacts", "contact list", "en"),
    ("ls groups", "group list", "en"),
    ("contacts show Ann", "contact show", "en"),
    ("show contact Ann", "contact show", "en"),
    ("CONTACT   Add\nAnn", "contact add", "en"),
    ("ＣＯＮＴＡＣＴ　ＡＤＤ　Ann", "contact add", "en"),
    ("new contact Ann", "contact add", "en"),
    ("contact-add Ann", "contact add", "en"),
    ("contact delete Ann", "contact remove", "en"),
    ("rm contact Ann", "contact remove", "en"),
    ("edit contact Ann", "contact edit", "en"),
    ("/contact list", "contact list", "en"),
    ("/callboard contact list", "contact list", "en"),
    ("@Callboard contact list", "contact list", "en"),
    ("@Callboard帮助", "help", "zh"),
    ("<@U0BOT> contact list.", "contact list", "en"),
    ("`contact list`", "contact list", "en"),
    ("please list contacts!", "contact list", "en"),
    ("请帮我添加联系人 张伟", "contact add", "zh"),
    ("help", "help", "en"),
    ("?", "help", "zh"),
    ("？？", "help", "zh"),
    ("帮助", "help", "zh"),
    ("添加联系人张伟", "contact add", "zh"),
    ("联系人 添加 张伟", "contact add", "zh"),
    ("新建联系人 张伟", "contact add", "zh"),
    ("联系人列表。", "contact list", "zh"),
    ("联系人", "contact list", "zh"),
    ("查看联系人列表", "contact list", "zh"),
    ("聯繫人列表", "contact list", "zh"),
    ("联系人 list", "contact list", "zh"),
    ("组", "group list", "zh"),
    ("告警源 列表", "source list", "zh"),
    ("添加告警源 prom", "source add", "zh"),
    ("告警源 轮换 prom", "source rotate", "zh"),
    ("告警列表", "alerts", "zh"),
    ("show alerts", "alerts", "en"),
    ("告警 42", "alert", "zh"),
    ("查看告警 42", "alert", "zh"),
    ("show alert 42", "alert", "en"),
    ("ack42", "ack", "en"),
    ("取消认领 42", "unack", "zh"),
    ("认领42", "ack", "zh"),
    ("list silences", "silence list", "en"),
    ("取消静默 3", "silence end", "zh"),
    ("end silence 3", "silence end", "en"),
    ("管理员", "admin list", "zh"),
    ("添加管理员 @张伟", "admin add", "zh"),
    ("import cloudmonitor", "sync cloudmonitor", "en"),
    ("同步云监控", "sync cloudmonitor", "zh"),
    ("sync das rm-uf6example000001", "sync das", "en"),
    ("同步DAS rm-uf6example000001 预览", "sync das", "zh"),
    ("我的联系人", "me", "zh"),
    ("whoami", "me", "en"),
    ("谁收到 critical", "who", "zh"),
    ("yes!", "yes", "en"),
    ("好的。", "yes", "zh"),
    ("ok", "yes", "zh"),
    ("N", "no", "zh"),
    ("取消", "no", "zh"),
    ("下一页", "more", "zh"),
)


@pytest.mark.parametrize(("text", "form", "language"), HEADS, ids=[row[0] for row in HEADS])
def test_a_command_is_understood_in_either_order_number_width_and_language(
    text: str, form: str, language: Language
) -> None:
    request = parse(text, FORMS)
    assert (request.form, request.language) == (form, language)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        # Where one verb could mean two commands, the one that cannot make or destroy a group by mistake.
        ("add group dba Ann", "group add"),
        ("添加组 数据库 张伟", "group add"),
        ("组添加 数据库 张伟", "group add"),
        ("create group dba", "group create"),
        ("new group dba", "group create"),
        ("新建组 数据库", "group create"),
        ("remove group dba Ann", "group remove"),
        ("group rm dba Ann", "group remove"),
        ("移除组 数据库 张伟", "group remove"),
        ("delete group dba", "group delete"),
        ("group del dba", "group delete"),
        ("删除组 数据库", "group delete"),
        ("解散组 数据库", "group delete"),
        ("note group dba nights", "group note"),
        ("note 42 group is fine", "note"),
    ],
)
def test_words_that_two_commands_could_claim_go_to_the_careful_one(text: str, form: str) -> None:
    assert parse(text, FORMS).form == form


def test_every_documented_spelling_means_its_own_form() -> None:
    for form in FORMS:
        for spelling in (form.name, *form.en, *form.zh):
            assert parse(spelling, FORMS).form == form.name, spelling


def test_forms_that_are_not_given_are_not_understood() -> None:
    few = tuple(form for form in FORMS if form.name in ("help", "contact add"))
    assert parse("contact add Ann", few).form == "contact add"
    for text in ("group create x", "123456", "yes"):
        with pytest.raises(UnknownCommand):
            parse(text, few)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_that_do_not_tell_are_answered_in_the_language_of_the_conversation(language: Language) -> None:
    for text in ("123456", "ok", "y", "?", "n"):
        assert parse(text, FORMS, language=language).language == language
    assert parse("yes", FORMS, language=language).language == "en"
    assert parse("确认", FORMS, language=language).language == "zh"


VALUES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "contact add Zhang Wei 13800138000 zw@example.com to dba, ops",
        "contact add",
        {
            "names": ("Zhang Wei",),
            "words": ("Zhang", "Wei"),
            "phones": ("13800138000",),
            "emails": ("zw@example.com",),
            "keys": {"to": "dba, ops"},
            "rest": "Zhang Wei 13800138000 zw@example.com to dba, ops",
        },
    ),
    (
        "contact add 张伟 13800138000 加入 数据库组",
        "contact add",
        {"names": ("张伟",), "phones": ("13800138000",), "keys": {"to": "数据库组"}, "language": "en"},
    ),
    ("添加联系人张伟加入数据库组", "contact add", {"names": ("张伟",), "keys": {"to": "数据库组"}}),
    (
        "添加联系人张伟手机13800138000邮箱zw@example.com",
        "contact add",
        {
            "names": ("张伟",),
            "phones": ("13800138000",),
            "emails": ("zw@example.com",),
            "keys": {"email": "zw@example.com"},
        },
    ),
    (
        f"contact add {DINGTALK}. secret {SECRET} Ann",
        "contact add",
        {"names": ("Ann",), "urls": (DINGTALK,), "keys": {"secret": SECRET}},
    ),
    (f"me {SECRET} {DINGTALK}", "me", {"urls": (DINGTALK,), "keys": {"secret": SECRET}}),
    (
        "contact add name: Ann phone：13800138000 email=a@b.cn to: dba",
        "contact add",
        {
            "phones": ("13800138000",),
            "emails": ("a@b.cn",),
            "keys": {"name": "Ann", "phone": "13800138000", "email": "a@b.cn", "to": "dba"},
        },
    ),
    (
        "contact add Zhang Wei\n13800138000\nLi Lei",
        "contact add",
        {"names": ("Zhang Wei", "Li Lei"), "phones": ("13800138000",)},
    ),
    ("contact add Ann，Bob、Carl；Dan; Eve", "contact add", {"names": ("Ann", "Bob", "Carl", "Dan", "Eve")}),
    ("contact add Ann Lee Jr.", "contact add", {"names": ("Ann Lee Jr.",)}),
    ("contact add Ann.", "contact add", {"names": ("Ann",)}),
    ("contact add To to dba", "contact add", {"names": ("To",), "keys": {"to": "dba"}}),
    ("contact add Email Team a@b.cn", "contact add", {"names": ("Email Team",), "emails": ("a@b.cn",)}),
    ("contact add DB Robot https://x.y/z", "contact add", {"names": ("DB Robot",), "urls": ("https://x.y/z",)}),
    ("contact add Ann to group dba", "contact add", {"names": ("Ann",), "keys": {"to": "dba"}}),
    ("contact add Ann group dba", "contact add", {"names": ("Ann",), "keys": {"to": "dba"}}),
    ("contact add Ann to dba to ops", "contact add", {"names": ("Ann",), "keys": {"to": "dba, ops"}}),
    ("contact add Ann to", "contact add", {"names": ("Ann",), "keys": {"to": ""}}),
    ("contact add Ann to 电话组", "contact add", {"names": ("Ann",), "keys": {"to": "电话组"}}),
    ("contact add Ann @Bob", "contact add", {"names": ("Ann",)}),
    ("contact add Ann 12345", "contact add", {"names": ("Ann 12345",), "numbers": (12345,)}),
    (
        "contact edit Ann phone 13900139000",
        "contact edit",
        {"names": ("Ann",), "phones": ("13900139000",), "keys": {"phone": "13900139000"}},
    ),
    ("contact edit Ann phone abc", "contact edit", {"names": ("Ann",), "phones": ("abc",), "keys": {"phone": "abc"}}),
    ("contact edit Ann phone", "contact edit", {"names": ("Ann",), "keys": {"phone": ""}}),
    ("contact edit Ann name Ann Li", "contact edit", {"names": ("Ann",), "keys": {"name": "Ann Li"}}),
    (
        "修改联系人 张伟 手机13900139000",
        "contact edit",
        {"names": ("张伟",), "phones": ("13900139000",), "keys": {"phone": "13900139000"}},
    ),
    (
        "修改联系人 张伟 时区 Asia/Shanghai 语言 en",
        "contact edit",
        {"names": ("张伟",), "keys": {"timezone": "Asia/Shanghai", "language": "en"}},
    ),
    ("verify Ann phone 13800138000", "verify", {"names": ("Ann",), "phones": ("13800138000",)}),
    ("我 13900139000", "me", {"phones": ("13900139000",)}),
    ("我的手机 13900139000", "me", {"phones": ("13900139000",)}),
    ("me name Ann", "me", {"keys": {"name": "Ann"}}),
    (
        "创建组 数据库 备注 夜间值班 成员 张伟、李四",
        "group create",
        {"names": ("数据库",), "keys": {"note": "夜间值班", "members": "张伟、李四"}},
    ),
    (
        "创建组 数据库 备注夜间值班，成员张伟、李四",
        "group create",
        {"names": ("数据库",), "keys": {"note": "夜间值班", "members": "张伟、李四"}},
    ),
    (
        "group create Team 7 note nights 24/7, call 13800138000. members Ann, Bob",
        "group create",
        {
            "names": ("Team 7",),
            "numbers": (7,),
            "keys": {"note": "nights 24/7, call 13800138000.", "members": "Ann, Bob"},
        },
    ),
    (
        'group create dba note "members only" members Ann',
        "group create",
        {"names": ("dba",), "keys": {"note": "members only", "members": "Ann"}},
    ),
    ("group rename old name to new name", "group rename", {"names": ("old name",), "keys": {"to": "new name"}}),
    ("group rename my group to ops", "group rename", {"names": ("my group",), "keys": {"to": "ops"}}),
    ('group rename "a to b" to "c, d"', "group rename", {"names": ("a to b",), "keys": {"to": "c, d"}}),
    ("组改名 旧 到 新", "group rename", {"names": ("旧",), "keys": {"to": "新"}}),
    ("组改名 旧 改为新", "group rename", {"names": ("旧",), "keys": {"to": "新"}}),
    (
        "group note dba covers nights, see https://x.y",
        "group note",
        {"names": ("dba",), "words": ("dba",), "text": "covers nights, see https://x.y"},
    ),
    ("组备注 数据库：夜班", "group note", {"names": ("数据库",), "text": "夜班"}),
    ("组备注 dba:夜班 一线", "group note", {"names": ("dba",), "text": "夜班 一线"}),
    ("group note a:b nights", "group note", {"names": ("a:b",), "text": "nights"}),
    ("备注 #1：磁盘满", "note", {"numbers": (1,), "text": "磁盘满"}),
    ("备注 １：磁盘满：已清理", "note", {"numbers": (1,), "text": "磁盘满：已清理"}),
    ("备注＃12：10:30 磁盘满", "note", {"numbers": (12,), "text": "10:30 磁盘满"}),
    ("note 1:disk", "note", {"numbers": (1,), "text": "disk"}),
    ("note #1: disk", "note", {"numbers": (1,), "text": "disk"}),
    ("note #1 =disk", "note", {"numbers": (1,), "text": "disk"}),
    ('group note "my group": nights', "group note", {"names": ("my group",), "text": "nights"}),
    ("组备注 数据库 夜间 值班。", "group note", {"names": ("数据库",), "text": "夜间 值班。"}),
    ('note #42: restarted "it",\nthen slept', "note", {"numbers": (42,), "text": 'restarted "it",\nthen slept'}),
    ("备注42已重启", "note", {"numbers": (42,), "text": "已重启"}),
    ("help contact add", "help", {"text": "contact add"}),
    (
        "group add dba Zhang Wei, Bob",
        "group add",
        {"names": ("dba Zhang Wei", "Bob"), "words": ("dba", "Zhang", "Wei", "Bob")},
    ),
    (
        'group add "My Group" Ann Lee, Bob',
        "group add",
        {"names": ("My Group", "Ann Lee", "Bob"), "words": ("My Group", "Ann", "Lee", "Bob")},
    ),
    ("ack 42, #43 ＃44 45.", "ack", {"numbers": (42, 43, 44, 45)}),
    ("retry 1234567", "retry", {"numbers": (1234567,)}),
    ("test #7", "test", {"numbers": (7,)}),
    (
        "silence #42 for 2h because waiting for vendor",
        "silence",
        {"numbers": (42,), "keys": {"for": "2h", "because": "waiting for vendor"}},
    ),
    ("静默 #42 2小时 因为 扩容", "silence", {"numbers": (42,), "keys": {"for": "2小时", "because": "扩容"}}),
    (
        'silence instance="db 1" job=x for 90 minutes',
        "silence",
        {"names": ("instance=db 1 job=x",), "words": ("instance=db 1", "job=x"), "keys": {"for": "90 minutes"}},
    ),
    ("silence reason=OOMKilled for 2h", "silence", {"names": ("reason=OOMKilled",), "keys": {"for": "2h"}}),
    (
        "who critical service=db instance=10.0.0.12:9100",
        "who",
        {
            "names": ("critical service=db instance=10.0.0.12:9100",),
            "words": ("critical", "service=db", "instance=10.0.0.12:9100"),
        },
    ),
    (
        "source add prom alertmanager to 数据库组",
        "source add",
        {"names": ("prom alertmanager",), "words": ("prom", "alertmanager"), "keys": {"to": "数据库组"}},
    ),
    ("admin add dingtalk:dingcorp01/0147123", "admin add", {"mentions": ("dingtalk:dingcorp01/0147123",)}),
    ("admin add Slack:T0001/U0001.", "admin add", {"mentions": ("slack:T0001/U0001",)}),
    ("link 123456", "link", {"codes": ("123456",)}),
    ("group show 123456", "group show", {"names": ("123456",), "codes": ("123456",), "numbers": (123456,)}),
)


@pytest.mark.parametrize(("text", "form", "expected"), VALUES, ids=[row[0] for row in VALUES])
def test_values_are_found_by_shape_key_and_quotes(text: str, form: str, expected: dict[str, Any]) -> None:
    check(text, form, expected)


@pytest.mark.parametrize(
    ("typed", "phones"),
    [
        ("13800138000", ["13800138000"]),
        ("138 0013 8000", ["138 0013 8000"]),
        ("138-0013-8000", ["138-0013-8000"]),
        ("+86 138 0013 8000", ["+86 138 0013 8000"]),
        ("+86-138-0013-8000", ["+86-138-0013-8000"]),
        ("86 13800138000", ["86 13800138000"]),
        ("0086 138 0013 8000", ["0086 138 0013 8000"]),
        ("+1 (415) 555-2671", ["+1 (415) 555-2671"]),
        ("+1 415.555.2671", ["+1 415.555.2671"]),
        ("(415) 555-2671", ["(415) 555-2671"]),
        ("415 555 2671", ["415 555 2671"]),
        ("010-8888 8888", ["010-8888 8888"]),
        ("0571-88888888", ["0571-88888888"]),
        ("400-820-8888", ["400-820-8888"]),
        ("１３８００１３８０００", ["１３８００１３８０００"]),
        ("<tel:+8613800138000|+8613800138000>", ["+8613800138000"]),
        # two numbers, not a long one
        ("13800138000 13900139000", ["13800138000", "13900139000"]),
        ("138 0013 8000 139 0013 9000", ["138 0013 8000", "139 0013 9000"]),
        ("+1 415 555 2671 138 0013 8000", ["+1 415 555 2671", "138 0013 8000"]),
        # wrong, but meant as phone numbers: the command refuses them by name
        ("1380013800", ["1380013800"]),
        ("138001380001380", ["138001380001380"]),
        ("138 0013 800", ["138 0013 800"]),
        ("+12345", ["+12345"]),
        # not meant as phone numbers
        ("12345", []),
        ("123456", []),
        ("2024-05-01", []),
        ("192.168.100.123", []),
        ("db-13800138000", []),
        ("13800138000@qq.com", []),
        ('"13800138000"', []),
        ("1380013800013800", []),
    ],
)
def test_what_is_meant_as_a_phone_number(typed: str, phones: list[str]) -> None:
    assert parse(f"contact add Ann {typed}", FORMS).phones == tuple(phones)
    assert parse(f"添加联系人 {typed}，张伟", FORMS).phones == tuple(phones)


def test_digits_before_a_phone_number_belong_to_the_name() -> None:
    request = parse("contact add Team 42 138 0013 8000", FORMS)
    assert (request.names, request.phones) == (("Team 42",), ("138 0013 8000",))


@pytest.mark.parametrize(
    ("typed", "emails"),
    [
        ("zw@example.com", ["zw@example.com"]),
        ("Zhang.Wei+oncall@mail.example.com.", ["Zhang.Wei+oncall@mail.example.com"]),
        ("zw＠example.com", ["zw@example.com"]),
        ("<mailto:zw@example.com|zw@example.com>", ["zw@example.com"]),
        ("[zw@example.com](mailto:zw@example.com)", ["zw@example.com"]),
        ("(zw@example.com)", ["zw@example.com"]),
        ("zw@example.com加入数据库", ["zw@example.com"]),
        # malformed, refused by the command
        ("zw@localhost", ["zw@localhost"]),
        ("zw@@example.com", ["zw@@example.com"]),
        ("zw@例子.cn", ["zw@例子.cn"]),
        # no text on one of the sides
        ("@zhangwei", []),
        ("zw@", []),
        ("label=zw@example.com", []),
    ],
)
def test_what_is_meant_as_an_email_address(typed: str, emails: list[str]) -> None:
    assert parse(f"contact add Ann {typed}", FORMS).emails == tuple(emails)


@pytest.mark.parametrize(
    ("typed", "urls"),
    [
        (DINGTALK, [DINGTALK]),
        (f"{DINGTALK}.", [DINGTALK]),
        (f"{DINGTALK}，", [DINGTALK]),
        (f"({DINGTALK})", [DINGTALK]),
        (f"<{DINGTALK}>", [DINGTALK]),
        (f"<{DINGTALK}|robot>", [DINGTALK]),
        (f"[robot]({DINGTALK})", [DINGTALK]),
        (f"{DINGTALK}加入数据库组", [DINGTALK]),
        ("https://a.example/x_-", ["https://a.example/x_-"]),
        ("https://en.wikipedia.org/wiki/Pager_(device)", ["https://en.wikipedia.org/wiki/Pager_(device)"]),
        ("https://a.example/x,https://b.example/y", ["https://a.example/x", "https://b.example/y"]),
        ("HTTPS://A.example/X", ["HTTPS://A.example/X"]),
        # refused by the command
        ("http://user:pw@a.example/", ["http://user:pw@a.example/"]),
        ("javascript://x", ["javascript://x"]),
        ("https://例子.com/x", ["https://例子.com/x"]),
        ("https://oapi.dingtalk.com.例子.com/x", ["https://oapi.dingtalk.com.例子.com/x"]),
        ("oapi.dingtalk.com/robot/send?access_token=4f3a", ["oapi.dingtalk.com/robot/send?access_token=4f3a"]),
        ("infra/db", []),
    ],
)
def test_what_is_meant_as_a_url(typed: str, urls: list[str]) -> None:
    request = parse(f"contact add Ann {typed}", FORMS)
    assert request.urls == tuple(urls)
    if urls:
        assert request.names == ("Ann",)


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ('"Zhang, Wei"', ["Zhang, Wei"]),
        ("“Zhang, Wei”", ["Zhang, Wei"]),
        ('"Zhang, Wei”', ["Zhang, Wei"]),
        ("‘Zhang, Wei’", ["Zhang, Wei"]),
        ("'Zhang, Wei'", ["Zhang, Wei"]),
        ("「张，伟」", ["张，伟"]),
        ("『张，伟』", ["张，伟"]),
        ('"to dba 13800138000 a@b.cn #42"', ["to dba 13800138000 a@b.cn #42"]),
        ("O'Brien", ["O'Brien"]),
        ("O’Brien, D’Arcy", ["O’Brien", "D’Arcy"]),
        ("'O'Brien'", ["O'Brien"]),
        ('"Ann Lee" Bob', ["Ann Lee", "Bob"]),
        ('"unclosed, Bob', ['"unclosed', "Bob"]),
        ("“unclosed", ["“unclosed"]),
        ('5" disk', ['5" disk']),
        ('""', []),
    ],
)
def test_quotes_protect_and_an_unclosed_one_is_an_ordinary_character(typed: str, names: list[str]) -> None:
    assert parse(f"contact show {typed}", FORMS).names == tuple(names)


@pytest.mark.parametrize(
    "text",
    [
        "123456",
        " 123456 。",
        "１２３４５６",
        "123 456",
        "123-456",
        "“123456”",
        "@Callboard 123456",
        "code 123456",
        "code: 123456",
        "CODE123456",
        "验证码123456",
        "验证码：123 456",
        "我的验证码是 123456",
        "my code is 123456",
        "the code is 123456, thanks",
        "【Callboard】您的验证码是 123456，10 分钟内有效。",
        "verify 123456",
        "验证 123456",
        "verify code 123456",
        "me 123456",
    ],
)
def test_six_digits_are_a_code(text: str) -> None:
    request = parse(text, FORMS, mentions=["slack:T/U"])
    assert (request.form, request.codes, request.mentions) == ("code", ("123456",), ("slack:T/U",))


@pytest.mark.parametrize("text", ["code", "code 12345", "验证码 1234567", "code abc"])
def test_a_code_command_without_six_digits_has_no_code(text: str) -> None:
    request = parse(text, FORMS)
    assert (request.form, request.codes) == ("code", ())


@pytest.mark.parametrize("text", ["12345", "1234567", "room 123456", "the codes are 123456 or 654321", "+123456"])
def test_other_digits_are_not_taken_for_a_code(text: str) -> None:
    with pytest.raises(UnknownCommand):
        parse(text, FORMS)


def test_a_name_with_six_digits_to_verify_stays_a_name_when_an_address_is_given() -> None:
    assert parse("verify Ann 123456", FORMS).form == "verify"


@pytest.mark.parametrize(
    ("text", "suggestions", "language"),
    [
        ("contcat ad", ("contact add",), "en"),
        ("contcat ad 张伟", ("contact add",), "en"),
        ("contact", ("contact add", "contact show", "contact list"), "en"),
        ("grup lst", ("group list",), "en"),
        ("verfy Ann", ("verify",), "en"),
        ("silense list", ("silence list",), "en"),
        ("填加联系人 张伟", ("添加联系人",), "zh"),
        ("联系人 添佳 张伟", ("添加联系人",), "zh"),
        ("13800138000", ("我", "添加联系人"), "zh"),
        ("#42", ("告警", "认领"), "zh"),
        ("1234567", ("我", "添加联系人"), "zh"),
        ("12345", ("验证码",), "zh"),
        ("状太", ("状态",), "zh"),
        ("帮住", ("帮助",), "zh"),
        ("认令 #42", ("认领",), "zh"),
        ("解觉42", ("解决",), "zh"),
        ("你好", (), "zh"),
        ("状太很好", (), "zh"),
        ("hello there", (), "en"),
        ("我们开会吧", (), "zh"),
        ("no idea", (), "en"),
        ("sync", ("sync cloudmonitor", "sync das"), "en"),
        ("同步", ("同步云监控", "同步DAS"), "zh"),
        ("", (), "zh"),
        ("@Callboard", (), "zh"),
        ("。。。", (), "zh"),
        ("🙂", (), "zh"),
    ],
)
def test_an_unknown_command_names_the_nearest_ones_in_its_language(
    text: str, suggestions: tuple[str, ...], language: Language
) -> None:
    with pytest.raises(UnknownCommand) as caught:
        parse(text, FORMS)
    assert (caught.value.suggestions, caught.value.language) == (suggestions, language)
    said = render(caught.value.say, "en")
    assert all(suggestion in said for suggestion in suggestions)
    assert ("帮助" if language == "zh" else "help") in said


@pytest.mark.parametrize(
    "text", ["me@example.com", "test-db", "meeting at 5", "alerting", "notes", "我们", "不是", "yes please"]
)
def test_the_beginning_of_a_longer_word_or_sentence_is_no_command(text: str) -> None:
    with pytest.raises(UnknownCommand):
        parse(text, FORMS)


def test_an_unknown_text_with_a_secret_is_not_repeated() -> None:
    with pytest.raises(UnknownCommand) as caught:
        parse(f"{DINGTALK} {SECRET}", FORMS)
    assert "4f3a" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_robot_secret_never_becomes_a_name() -> None:
    request = parse(f"verify Ann {SECRET}", FORMS)
    assert (request.names, request.keys) == (("Ann",), {})


def test_mentions_of_the_platform_come_first_and_count_once() -> None:
    request = parse("admin add @Bob slack:T/U2 slack:T/U1", FORMS, mentions=["slack:T/U1", "slack:T/U1"])
    assert (request.names, request.mentions) == ((), ("slack:T/U1", "slack:T/U2"))


def test_invisible_characters_change_nothing() -> None:
    text = "\u200fcon\u200btact\u2060 add \u202eZhang\u200d Wei\ufeff 138\u200b00138000\ud800"
    request = parse(text, FORMS)
    assert (request.form, request.names, request.phones) == ("contact add", ("Zhang Wei",), ("13800138000",))


def test_a_text_that_is_too_long_is_refused_as_a_whole() -> None:
    assert parse("note 42 " + "x" * (MAX_CHARS - 8), FORMS).text == "x" * (MAX_CHARS - 8)
    with pytest.raises(CommandError, match="too long") as caught:
        parse("note 42 " + "x" * MAX_CHARS, FORMS)
    assert not isinstance(caught.value, UnknownCommand)
