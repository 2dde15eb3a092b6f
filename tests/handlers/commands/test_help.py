"""Which topic of the help somebody means."""

from __future__ import annotations

import pytest

from handlers import names
from handlers.commands import COMMANDS
from handlers.commands.help import topic_of
from handlers.errors import CommandError


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("contacts", "contacts"),
        ("template", "sources"),
        ("Templates", "sources"),
        ("模板", "sources"),
        ("silence", "alerts"),
        ("静默", "alerts"),
        ("sync", "contacts"),
        ("同步", "contacts"),
        ("silence end", "alerts"),
        ("undo", "admin"),
        ("banana", None),
        ("", None),
    ],
)
def test_help_finds_the_topic_of_any_command_by_its_noun_or_its_words(text: str, topic: str | None) -> None:
    assert topic_of(text, tuple(COMMANDS.values())) == topic


def test_a_name_that_is_short_to_see_and_long_to_write_is_refused_with_what_is_counted() -> None:
    with pytest.raises(CommandError, match="written out it has 1152 characters, 256 are possible"):
        names.checked("\ufdfa" * 64)
    with pytest.raises(CommandError, match="is too long: 65 characters, 64 are possible"):
        names.checked("a" * 65)
