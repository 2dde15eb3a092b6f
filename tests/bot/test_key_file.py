"""The key of the service: given, or made at first start and kept."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from bot.key_file import KEY_FILE, secret_key
from bot.settings import SettingsError, load


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_given_key_is_used_and_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "given")
    assert secret_key(load()) == "given"
    assert not KEY_FILE.exists()


def test_a_key_is_made_once_for_its_owner_only() -> None:
    key = secret_key(load())
    assert len(key) >= 32
    assert secret_key(load()) == key
    assert stat.S_IMODE(KEY_FILE.stat().st_mode) == 0o600
    assert [file.name for file in KEY_FILE.parent.iterdir()] == [KEY_FILE.name]


def test_processes_that_start_together_agree_on_one_key() -> None:
    settings = load()
    start = threading.Barrier(8)
    keys: list[str] = []

    def first_start() -> None:
        start.wait()
        keys.append(secret_key(settings))

    threads = [threading.Thread(target=first_start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff\xfe"])
def test_a_damaged_key_stops_the_start_instead_of_being_replaced(content: bytes) -> None:
    KEY_FILE.parent.mkdir()
    KEY_FILE.write_bytes(content)
    with pytest.raises(SettingsError, match="SECRET_KEY is not set and data/secret_key"):
        secret_key(load())
    assert KEY_FILE.read_bytes() == content


def test_a_folder_that_cannot_be_made_stops_the_start() -> None:
    Path("data").write_text("a file", "utf-8")
    with pytest.raises(SettingsError, match="SECRET_KEY is not set and data/secret_key cannot be used"):
        secret_key(load())
