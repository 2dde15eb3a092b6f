"""Reads `title=$.alert.name severity.P1=critical label.host="{{ host }}"` as people type it."""

from __future__ import annotations

import re

from handlers import examples
from handlers.errors import CommandError
from handlers.names import printable
from handlers.texts import _

_PAIR = re.compile(
    r"[\s,，;；]*(?P<name>[^\s=＝\"“”'‘’「」]+)\s?[=＝]\s?"
    r"(?:\"(?P<straight>[^\"]*)\"|“(?P<curly>[^”]*)”|'(?P<single>[^']*)'|‘(?P<bent>[^’]*)’|「(?P<corner>[^」]*)」"
    r"|(?P<bare>(?:\{\{[^{}]*\}\}|[^\s{]|\{(?!\{))*))(?=[\s,，;；]|$)"
)

FIELDS = {
    "标题": "title",
    "状态": "status",
    "级别": "severity",
    "等级": "severity",
    "严重程度": "severity",
    "描述": "description",
    "内容": "description",
    "链接": "link",
    "指纹": "fingerprint",
    "开始": "starts_at",
    "结束": "ends_at",
    "每个": "each",
    "列表": "each",
    "标签": "label",
}
"""Chinese word -> field; `标签.主机` and `级别.严重` work as well."""


def assignments(text: str) -> dict[str, str]:
    """Field -> what it is to be, "" where nothing stands behind the sign; raises CommandError for anything else."""
    found: dict[str, str] = {}
    at = 0
    end = len(text.rstrip())
    while at < end:
        pair = _PAIR.match(text, at)
        if pair is None:
            raise CommandError(
                _(
                    "I cannot read “{text}”. Write field=place, with quotes around what has blanks. Example: {example}",
                    text=printable(text[at : at + 60].strip()),
                    example=examples.MAP_SOURCE,
                )
            )
        stem, dot, word = pair["name"].partition(".")
        values = (pair[name] for name in ("straight", "curly", "single", "bent", "corner", "bare"))
        found[FIELDS.get(stem, stem.casefold()) + dot + word] = next(
            (value for value in values if value is not None), ""
        )
        at = pair.end()
    return found
