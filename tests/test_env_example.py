"""The example of all settings is complete, true, and harmless when it is copied as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.settings import SECRETS, Settings, load

EXAMPLE = Path(__file__).parent.parent / ".env.example"
LINE = re.compile(r"^#?([A-Z][A-Z_]*)=(.*)$", re.MULTILINE)


def listed() -> list[tuple[str, str]]:
    return LINE.findall(EXAMPLE.read_text("utf-8"))


def test_it_lists_every_setting_once_and_nothing_else() -> None:
    names = [name for name, _ in listed()]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)


def test_it_shows_the_true_defaults_and_no_secret() -> None:
    examples = {"PUBLIC_URL", "ADMINS", "MAIL_FROM"}
    for name, value in listed():
        field = Settings.model_fields[name.lower()]
        default = field.default
        shown = str(int(default)) if isinstance(default, bool) else str(default) if default else ""
        if name in examples:
            assert value
            assert not default
        else:
            assert value == shown, name
        assert name.lower() not in SECRETS or value in ("", "sqlite:///data/callboard.db")


def test_a_copy_of_it_starts_with_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    assert load() == Settings(_env_file=None)


def test_its_examples_are_well_formed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE), "utf-8"
    )
    settings = load()
    assert settings.public_url == "https://callboard.example.com"
    assert settings.admins == ("slack:T0001/U0001", "dingtalk:dingcorp01/0147123")
    assert settings.mail_from == "Callboard <alerts@example.com>"


def test_the_page_about_running_names_every_setting() -> None:
    page = (EXAMPLE.parent / "docs" / "running.md").read_text("utf-8")
    assert [name for name, _ in listed() if f"`{name}`" not in page] == []
