"""What a value is, told by its looks: phone number, email address, URL, person, code, alert number, duration.

`shape_at` answers for one place of a text. A shape is what a value is *meant* to be: whether the number exists or the
address is well-formed is for the commands to say, so that they can refuse it by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import phonenumbers

from handlers.commands.words import CJK, DURATION, halved

Kind = Literal["phone", "email", "url", "person", "mention", "secret", "number", "code", "duration"]

_STOP = r"\s,;、。！？；，（）「」『』“”‘’\"<>"
_URL = re.compile(
    rf"[a-z][a-z0-9+.\-]{{0,20}}://(?:[!#-%'-.0-;=@-\[\]-~]|(?![{_STOP}/?#])[^\x00-\x7f])*"  # the host, in any alphabet
    rf"(?:(?![,;]\w{{2,20}}://)[!#-;=?-~])*",
    re.IGNORECASE,
)
_BARE_URL = re.compile(
    r"(?:[a-z0-9\-]{1,63}\.){1,6}[a-z]{2,20}(?::\d{1,5})?/(?:(?![,;]\w{2,20}://)[!#-;=?-~])+", re.IGNORECASE
)
_MARKDOWN_LINK = re.compile(
    r"\[[^\]\n]{0,300}\]\(\s*<?(?:mailto:|tel:)?([^\s()<>]+(?:\([^\s()<>]*\)[^\s()<>]*)*)>?\s*\)", re.IGNORECASE
)
_ANGLE = re.compile(r"<(?:mailto:|tel:)?([^<>|\n]{1,3000})(?:\|[^<>\n]{0,3000})?>", re.IGNORECASE)
_EMAIL = re.compile(
    rf"(?:mailto:)?((?:[a-z0-9.!#$%&'*+?^_`{{|}}~\-]{{1,128}}|[{CJK}]{{1,64}})"
    rf"@(?:[!#-+\--:=?-~]+|(?:(?![{_STOP}])[^\x00-\x20])+))"
)
_PERSON = re.compile(rf"(?:slack|dingtalk|wecom|lark|feishu):(?:(?![{_STOP}/])[!-~])+/(?:(?![{_STOP}])[!-~])+")
_MENTION = re.compile(rf"<[@!#][^<>\n]{{0,200}}>|@[^{_STOP}]+")
_SECRET = re.compile(r"sec[0-9a-f]{32,}(?![0-9a-z_\-])")
_CODE = re.compile(r"\d{6}(?![\w.:/\-@])")
_NUMBER = re.compile(r"#\s?(\d{1,18})(?![a-z0-9_])|(\d{1,18})(?![a-z0-9_]|[.:/\-=@][a-z0-9])")
_DURATION_END = re.compile(rf"$|[{_STOP}]|因为|原因|理由|because")
_CHUNK = r"[(]?\d[\d()\-.\u2010-\u2013]*"
_PHONE = re.compile(rf"\+?\s?{_CHUNK}(?:[^\S\n]{{1,2}}{_CHUNK}){{0,6}}")
_PHONE_END = re.compile(r"(?![a-z0-9_@]|[.:/=][a-z0-9])")
_NOT_PHONE = re.compile(r"\d{4}([\-.])\d{1,2}\1\d{1,2}$|\d{1,3}(?:\.\d{1,3}){3}$")
_DOTTED = re.compile(r"\+?[\d\-()]{1,4}(?:\.\d{2,4})+$")
_TOO_SHORT = re.compile(
    r"(?!86)[1-9]\d?\s"
)  # no number begins with a group of one or two digits, except a country code
_CHINESE = re.compile(r"(?:86)?(?:1[3-9]\d{9}|0\d{9,11}|[48]00\d{7})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shape:
    """A recognised value: what it is, where it ends in the text, and its words without wrapping."""

    kind: Kind
    end: int
    text: str


def shape_at(text: str, fold: str, start: int, *, numbered: bool, coded: bool, timed: bool) -> Shape | None:
    """The shape that begins at `start`, which must be the beginning of a word.

    text, fold  the text as typed and folded, equally long
    numbered    the command takes alert numbers: digits are these, never phones
    coded       the command takes codes: six digits are one
    timed       the command takes a duration
    """
    first = fold[start]
    if first in "[<" and (wrapped := _wrapped(text, fold, start)):
        return wrapped
    if (found := _address(text, fold, start)) is not None:
        return found
    if first in "@<":
        found_mention = _MENTION.match(text if first == "<" else fold, start)
        return Shape("mention", found_mention.end(), "") if found_mention else None
    if first == "s" and (match := _SECRET.match(fold, start)):
        return Shape("secret", match.end(), halved(text[start : match.end()]))
    if timed and (match := DURATION.match(fold, start)) and _DURATION_END.match(fold, match.end()):
        return Shape("duration", match.end(), text[start : match.end()])
    if first == "#" or numbered:
        match = _NUMBER.match(fold, start)
        return Shape("number", match.end(), match[1] or match[2]) if match else None
    if coded and (match := _CODE.match(fold, start)):
        return Shape("code", match.end(), match[0])
    if first in "+(" or first.isdecimal():
        end = _phone_end(fold, start)
        return Shape("phone", end, text[start:end].strip()) if end else None
    return None


def _address(text: str, fold: str, start: int) -> Shape | None:
    """A URL, a typed person or an email address."""
    if match := _URL.match(text, start) or _BARE_URL.match(text, start):
        url = _trimmed(match[0])
        return Shape("url", start + len(url), url)
    if match := _PERSON.match(fold, start):
        person = _trimmed(halved(text[start : match.end()]))
        platform, _colon, rest = person.partition(":")
        return Shape("person", start + len(person), f"{platform.lower()}:{rest}")
    if match := _EMAIL.match(fold, start):
        address = _trimmed(halved(text[match.start(1) : match.end(1)]))
        if not address.endswith("@"):
            return Shape("email", match.start(1) + len(address), address)
    return None


def _wrapped(text: str, fold: str, start: int) -> Shape | None:
    """A URL, email address or phone number in `<…>`, `<…|label>` or `[label](…)`, as chats write them."""
    if not (match := _MARKDOWN_LINK.match(text, start) or _ANGLE.match(text, start)):
        return None
    inside, inside_fold = match[1], fold[match.start(1) : match.end(1)]
    if found := _address(inside, inside_fold, 0):
        return Shape(found.kind, match.end(), found.text) if found.end == len(inside) else None
    if inside_fold[0] in "+(" or inside_fold[0].isdecimal():
        return Shape("phone", match.end(), inside) if _phone_end(inside_fold, 0) == len(inside) else None
    return None


def _trimmed(address: str) -> str:
    """The address without the punctuation of the sentence it stands in; a `)` stays when it was opened inside."""
    while address:
        last = address[-1]
        if last in ".,;:!?'\"*`" or (
            last in ")]}" and address.count(last) > address.count({")": "(", "]": "[", "}": "{"}[last])
        ):
            address = address[:-1]
        else:
            break
    return address


def _digits(text: str) -> int:
    return sum(map(str.isdecimal, text))


def _valid(number: str) -> bool:
    """Whether it is a number of a real plan. Only for where an international number ends."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, "CN"))
    except phonenumbers.NumberParseException:
        return False


def _chinese(number: str) -> bool:
    """Whether the digits have the form of a Chinese number: mobile, with area code, 400; 86 may stand before them."""
    return _CHINESE.fullmatch(re.sub(r"\D", "", number)) is not None


def _phone_end(fold: str, start: int) -> int:
    """Where the phone number that begins at `start` ends, 0 when the digits are none.

    Blanks may stand inside a number and between two: `138 0013 8000 139 0013 9000` are two. The longest sequence that
    is valid in a numbering plan is taken, else what looks like one wrong number.
    """
    match = _PHONE.match(fold, start)
    if not match:
        return 0
    if _TOO_SHORT.match(match[0]):
        return 0
    ends = [start + blank.start() for blank in re.finditer(r"(?<=[\d)\-.])\s+", match[0])] + [match.end()]
    ends = [_closed(fold, start, end) for end in ends]
    ends = [end for end in ends if _PHONE_END.match(fold, end)]
    if not ends:
        return 0
    first = fold[start : ends[0]]
    plus = first[0] == "+"
    if not plus and _digits(first) >= 7:
        if len(ends) > 1 and not _chinese(first) and _chinese(fold[start : ends[1]]):
            return ends[1]  # 010-8888 8888
        return ends[0] if _digits(first) <= 15 and _plausible(first) else 0
    international = plus or first.startswith("00")
    for end in reversed(ends):
        number = fold[start:end]
        if (
            7 <= _digits(number) <= 17
            and _plausible(number)
            and (_valid(number) if international else _chinese(number))
        ):
            return end
    if international:
        return next((end for end in reversed(ends) if (4 if plus else 9) <= _digits(fold[start:end]) <= 15), 0)
    if any(_chinese(fold[later:end]) for later in ends[:-1] for end in ends if end > later):
        return 0  # a number begins further on; these digits belong to what stands before it
    for end in reversed(ends):
        chunks = fold[start:end].split()
        long_enough = len(chunks) > 1 and 7 <= _digits(fold[start:end]) <= 12
        if long_enough and all(_digits(chunk) in (3, 4, 5) or "-" in chunk for chunk in chunks):
            return end
    return 0


def _plausible(number: str) -> bool:
    """Not a date, not an IP address, and dots only where phone numbers have them."""
    return not _NOT_PHONE.match(number) and ("." not in number or _DOTTED.match(number.replace(" ", "")) is not None)


def _closed(fold: str, start: int, end: int) -> int:
    """The end without trailing signs that belong to the sentence."""
    while end > start and not fold[end - 1].isdecimal():
        if fold[end - 1] == ")" and fold.count("(", start, end) >= fold.count(")", start, end):
            break
        end -= 1
    return end
