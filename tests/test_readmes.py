"""The two READMEs say the same, and nothing that does not exist; the pages they lead to exist as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handlers.commands import COMMANDS
from handlers.sources import SOURCES

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def commands(name: str) -> list[str]:
    """What stands in the first column of the table of commands, English in both."""
    rows = re.findall(r"^\| (`[a-z][^|]*) \| `[^\x00-\x7f]", text(name), re.MULTILINE)
    return [quoted for row in rows for quoted in re.findall(r"`([^`]+)`", row)]


def test_both_explain_the_same_commands() -> None:
    assert commands(CHINESE) == commands(ENGLISH)
    said = " ".join(commands(ENGLISH))
    assert [name for name in COMMANDS if name not in said] == []


def test_every_chinese_spelling_in_the_tables_is_understood() -> None:
    known = {spelling for command in COMMANDS.values() for spelling in command.form.zh}
    for name in (ENGLISH, CHINESE):
        for row in re.findall(r"^\| `[a-z][^|]* \| (`[^\x00-\x7f`][^|]*) \|", text(name), re.MULTILINE):
            for quoted in re.findall(r"`([^`]+)`", row):
                assert any(spelling.startswith(quoted.split()[0]) for spelling in known), quoted


@pytest.mark.parametrize("name", [ENGLISH, CHINESE, *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))])
def test_what_they_link_to_exists(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text(name)):
        if not target.startswith("http"):
            assert (ROOT / name).parent.joinpath(target).exists(), target


def test_every_page_can_be_reached_from_both() -> None:
    for name in (ENGLISH, CHINESE):
        assert [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in text(name)] == []


@pytest.mark.parametrize(("kind", "page"), [(kind, page) for kind in SOURCES for page in (ENGLISH, CHINESE)])
def test_every_kind_of_alert_source_is_explained(kind: str, page: str) -> None:
    assert f"`{kind}`" in text(page)
    assert re.search(rf"(?:source add|告警源添加) \w+ {kind} |[Kk]ind `{kind}`|类型 `{kind}`", text(page))


def test_both_name_the_same_settings_and_addresses() -> None:
    def facts(name: str) -> set[str]:
        return set(re.findall(r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b|https?://[a-z0-9./-]+|docs/[a-z-]+\.[a-z]+", text(name)))

    assert facts(CHINESE) == facts(ENGLISH)


def test_the_quickest_way_is_the_same_two_commands() -> None:
    for name in (ENGLISH, CHINESE):
        assert re.findall(r"^```\n(make \w+)\n```$", text(name), re.MULTILINE) == ["make run", "make test"]
