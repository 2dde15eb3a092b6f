"""The words after `python -m bot`, as a process of its own where that matters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bot
from bot import cli
from bot.settings import load
from storage.database import Database
from tests.stories.conftest import migrated

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-m", "bot", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"Callboard {bot.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["db", "--help"], ["check", "-h"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command == ("--version",) or f"python -m bot {' '.join(command)}".strip() in out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["wbe"], "did you mean `python -m bot web`?"),
        (["chekc"], "did you mean `python -m bot check`?"),
        (["db"], "python -m bot"),
        (["db", "upgrad"], "did you mean `python -m bot db upgrade`?"),
        (["web", "worker"], "python -m bot"),
        (["--port", "80"], "`python -m bot --help` lists what there is."),
    ],
)
def test_wrong_words_are_one_sentence(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert hint in shown.err


@pytest.mark.parametrize("words", [[], ["web"], ["worker"], ["check"], ["db", "upgrade"]])
def test_malformed_settings_stop_every_command_with_a_line_each(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("SMTP_URL", "http://robot:hunter2@host")
    assert cli.main(words) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert {line.split()[0] for line in shown.err.splitlines()} == {"PORT", "SMTP_URL"}
    assert "hunter2" not in shown.err
    assert not any(tmp_path.iterdir()), "nothing is made before the settings are read"


def test_db_upgrade_makes_the_database_and_may_be_said_again(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(tmp_path, "db", "upgrade")
        assert (done.returncode, done.stdout) == (0, "The database is up to date.\n"), done.stderr
    assert (tmp_path / "data" / "callboard.db").exists()


def test_a_database_that_is_not_there_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://callboard:hunter2@127.0.0.1:1/callboard?connect_timeout=2"
    done = run(tmp_path, "db", "upgrade", DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("The database could not be upgraded: ")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def not_a_database(folder: Path) -> None:
    (folder / "x.db").write_text("a diary, and not a short one. " * 100, "utf-8")


def not_to_be_locked(folder: Path) -> None:
    """As on a file system that is read-only: who may do everything is refused nothing else."""
    (folder / "x.db.web.lock").mkdir()


def not_to_be_opened(folder: Path) -> None:
    (folder / "x.db.open.lock").mkdir()


def no_folder(folder: Path) -> None:
    (folder / "sub").write_text("", "utf-8")


@pytest.mark.parametrize(
    ("url", "obstacle", "said"),
    [
        ("sqlite:///x.db", not_a_database, "file is not a database"),
        ("sqlite:///x.db", not_to_be_locked, "x.db.web.lock: Is a directory"),
        ("sqlite:///x.db", not_to_be_opened, "x.db.open.lock: Is a directory"),
        ("sqlite:///sub/x.db", no_folder, "sub: File exists"),
        ("sqlite:///sub/sub/x.db", no_folder, "sub/sub: Not a directory"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_sentence(
    url: str, obstacle: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    obstacle(tmp_path)
    done = run(tmp_path, DATABASE_URL=url, PORT="0", SECRET_KEY="k" * 40)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Callboard cannot start: ")
    assert said in done.stderr


def test_with_another_key_the_start_says_how_a_key_is_changed(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(migrated())
    first = Database(f"sqlite:///{tmp_path / 'x.db'}", "o" * 40)
    first.check_key()
    first.close()
    done = run(tmp_path, DATABASE_URL="sqlite:///x.db", PORT="0", SECRET_KEY="n" * 40)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "the new key, a comma and the old key" in done.stderr
    assert "[hidden]" not in done.stderr


def test_what_must_not_be_written_is_every_secret_and_the_passwords_in_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "new-key, old-key")
    monkeypatch.setenv("SMTP_URL", "smtp://robot:hunter%202@mail.example.com")
    monkeypatch.setenv("LARK_ENCRYPT_KEY", "lark-key")
    assert set(cli.known(load())) == {"new-key", "old-key", "hunter 2", "lark-key"}


def test_check_lists_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "callboard.db").write_bytes(migrated())
    done = run(tmp_path, "check", LARK_APP_ID="cli_01", LARK_APP_SECRET="hunter2", LARK_API_URL="http://127.0.0.1:1")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr
    assert ["ok", "database", "open and of this version"] in lines
    assert ["missing", "email", "set SMTP_URL and MAIL_FROM to send mail"] in lines
    assert [words[:2] for words in lines if words[0] == "wrong"] == [["wrong", "lark"]]
    assert "hunter2" not in done.stdout + done.stderr
    assert run(tmp_path, "check").returncode == 0, "what is not configured is not a failure"
