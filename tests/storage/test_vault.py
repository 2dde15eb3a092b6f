"""Sealing and digesting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.vault import Vault, WrongKey

OLD, NEW, BOTH = Vault("old"), Vault("new"), Vault("new, old")


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_sealed_can_be_opened_whatever_it_says(text: str) -> None:
    assert OLD.open(OLD.seal(text)) == text


def test_the_same_text_is_sealed_differently_each_time_and_never_shows() -> None:
    first, second = OLD.seal("13800138000"), OLD.seal("13800138000")
    assert first != second
    assert "13800138000" not in first


def test_rotated_keys_open_what_the_old_one_sealed_and_seal_with_the_new() -> None:
    assert BOTH.open(OLD.seal("secret")) == "secret"
    assert NEW.open(BOTH.seal("secret")) == "secret"


@pytest.mark.parametrize(
    "sealed",
    [NEW.seal("x"), "", "not sealed at all", OLD.seal("x")[:-4] + "AAA="],
    ids=["another key", "nothing", "plain", "changed"],
)
def test_what_another_key_sealed_or_somebody_changed_does_not_open(sealed: str) -> None:
    with pytest.raises(WrongKey):
        OLD.open(sealed)


def test_a_digest_depends_on_key_purpose_and_text_and_on_nothing_else() -> None:
    digest = OLD.digest("source", "token")
    assert digest == Vault("old").digest("source", "token")
    assert len({digest, NEW.digest("source", "token"), OLD.digest("code", "token"), OLD.digest("source", "t")}) == 4
    assert BOTH.digests("source", "token") == (NEW.digest("source", "token"), digest)


@pytest.mark.parametrize("key", ["", " ", ",", " , "])
def test_there_is_no_vault_without_a_key(key: str) -> None:
    with pytest.raises(ValueError, match="SECRET_KEY"):
        Vault(key)
