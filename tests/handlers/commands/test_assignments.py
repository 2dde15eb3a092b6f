"""`field=place` as people type it in either language."""

from __future__ import annotations

import pytest

from handlers.commands.assignments import assignments
from handlers.errors import CommandError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("title=$.a.b", {"title": "$.a.b"}),
        ("title=$.a  severity = $.b", {"title": "$.a", "severity": "$.b"}),
        ("title=\"$['a b']\" link='x y'", {"title": "$['a b']", "link": "x y"}),
        ("title={{ a.b }} on {{c}}", None),
        ("title={{ a.b }}-{{c}} link=$.d", {"title": "{{ a.b }}-{{c}}", "link": "$.d"}),
        ('title="{{ a.b }} on {{ c }}"', {"title": "{{ a.b }} on {{ c }}"}),
        (
            "标题=“{{ a }}” 级别.严重=critical 标签.主机=$.h",
            {"title": "{{ a }}", "severity.严重": "critical", "label.主机": "$.h"},
        ),
        ("标题＝「$.a」，状态＝$.b", {"title": "$.a", "status": "$.b"}),
        ("title=", {"title": ""}),
        ("TITLE=$.A severity.P1=critical", {"title": "$.A", "severity.P1": "critical"}),
        ("title=$.a\nlink=$.b", {"title": "$.a", "link": "$.b"}),
        ("title", None),
        ("title=$.a nonsense", None),
        ("=x", None),
    ],
)
def test_assignments(text: str, found: dict[str, str] | None) -> None:
    if found is None:
        with pytest.raises(CommandError):
            assignments(text)
    else:
        assert assignments(text) == found


def test_no_text_takes_long() -> None:
    for text in ("a=" * 5000, "a" * 10_000, '="' * 5000, "{{" * 5000, "a={{" * 2500, " " * 10_000):
        try:
            assignments(text)
        except CommandError:
            continue
