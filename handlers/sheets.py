"""CSV tables of contacts: our own, those of Google and Outlook, and what is copied from a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from handlers import names
from handlers.address_books import Entry
from handlers.commands.words import names_of
from handlers.examples import quoted
from handlers.texts import Language

COLUMNS: dict[str, tuple[str, str, re.Pattern[str]]] = {
    "name": ("name", "姓名", re.compile(r"(full |display )?name|姓名|名称|名字|全名|联系人")),
    "given": ("", "", re.compile(r"(first|given) name|名")),
    "family": ("", "", re.compile(r"(last|family) name|surname|姓")),
    "phone": (
        "phone",
        "电话",
        re.compile(
            r"((mobile|cell|primary|business|home|work) )?phone( number)?( \d+)?( - value)?"
            r"|mobile( number)?|cell|tel(ephone)?|电话(号码?)?|手机(号码?)?"
        ),
    ),
    "email": ("email", "邮箱", re.compile(r"e-?mail( \d+)?( address)?( - value)?|mail|(电子)?邮箱|(电子)?邮件(地址)?")),
    "webhook": ("webhook", "机器人", re.compile(r"webhook|robot|机器人")),
    "groups": ("groups", "组", re.compile(r"(contact )?groups?|group membership|labels|categories|联系组|组|分组")),
    "language": ("language", "语言", re.compile(r"language|语言")),
    "timezone": ("timezone", "时区", re.compile(r"time ?zone|时区")),
    "mention": ("mention", "提醒", re.compile(r"mentions?|提醒")),
}
"""Field -> its header in English and Chinese, and what else may stand over it, in lower case."""

WRITTEN = tuple(field for field, (english, _chinese, _others) in COLUMNS.items() if english)

FORMULA = "=+-@\t\r"
"""What a spreadsheet takes for the beginning of a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""

_BETWEEN = re.compile(r"\s*(?:[;；、\n]| ::: )\s*")


def header(language: Language) -> str:
    named = [COLUMNS[field] for field in WRITTEN]
    return _line([english if language == "en" else chinese for english, chinese, _known in named])


def written(entry: Entry) -> str:
    """One line, several values of a cell with semicolons between them."""
    cells = {
        "name": entry.name,
        "phone": "; ".join(entry.phones),
        "email": "; ".join(entry.emails),
        "webhook": "; ".join(entry.webhooks),
        "groups": "; ".join(quoted(one) for one in entry.groups),
        "language": entry.language,
        "timezone": entry.timezone,
        "mention": entry.mention,
    }
    return _line([_guarded(cells[field]) for field in WRITTEN])


def read(text: str) -> list[Entry] | None:
    """The contacts of the table; None when its first line does not say which column has the names."""
    if not text.strip():
        return None
    # Some chats indent what they show; blanks before a quote would make it a part of the cell.
    text = "\n".join(line.lstrip(" \u00a0") for line in text.strip().split("\n"))
    delimiter = max(",;\t，", key=text.partition("\n")[0].count)
    if delimiter == "，":
        text, delimiter = text.replace("，", ","), ","
    rows = list(csv.reader(io.StringIO(text.strip(), newline=""), delimiter=delimiter))
    fields = [_field(cell) for cell in rows[0]] if rows else []
    if not {"name", "given", "family"} & set(fields):
        return None
    return [_entry(fields, row) for row in rows[1:] if any(cell.strip() for cell in row)]


def _field(cell: str) -> str:
    heading = names.key(_bare(cell).strip("\ufeff"))
    return next((field for field, (_en, _zh, known) in COLUMNS.items() if heading and known.fullmatch(heading)), "")


def _entry(fields: list[str], row: list[str]) -> Entry:
    cells: dict[str, list[str]] = {}
    for field, cell in zip(fields, row, strict=False):
        if field and _bare(cell):
            cells.setdefault(field, []).append(_bare(cell))

    def values(field: str) -> tuple[str, ...]:
        return tuple(one for cell in cells.get(field, ()) for part in _BETWEEN.split(cell) if (one := _bare(part)))

    def value(field: str) -> str:
        return next(iter(cells.get(field, ())), "")

    given, family = value("given"), value("family")
    both = f"{given} {family}".strip() if (given + family).isascii() else f"{family}{given}"
    return Entry(
        name=" ".join((value("name") or both).split()),
        phones=values("phone"),
        emails=values("email"),
        webhooks=values("webhook"),
        groups=tuple(one for cell in cells.get("groups", ()) for one in names_of(cell.replace(" ::: ", ";"))),
        language=value("language"),
        timezone=value("timezone"),
        mention=value("mention"),
    )


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def _guarded(cell: str) -> str:
    """An apostrophe makes a text of what would be a formula; `_bare` takes it away again."""
    return f"'{cell}" if cell[:1] in FORMULA and cell else cell


def _bare(cell: str) -> str:
    cell = cell.strip(" ")
    return (cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA and cell[1:2] else cell).strip()
