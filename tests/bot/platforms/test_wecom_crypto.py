"""WeCom's envelope: every known answer, and every way in which one can be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.wecom_crypto import Envelope, Forged, aes_key, signature
from bot.platforms.wecom_xml import fields
from bot.sandbox.wecom_client import Keys
from handlers.errors import PayloadError

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures" / "vectors" / "wecom.json").read_text("utf-8"))
RIGHT = [*VECTORS["positive"], *VECTORS["published"]]
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def named(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=[one.get("name") or one["note"][:30] for one in vectors])


def envelope(vector: dict[str, Any]) -> Envelope:
    return Envelope(vector["token"], aes_key(vector["encoding_aes_key"]), vector["receiveid"])


def opened(vector: dict[str, Any]) -> str:
    return envelope(vector).opened(vector["msg_signature"], vector["timestamp"], vector["nonce"], vector["encrypt"])


@named(RIGHT)
def test_what_was_sealed_right_is_opened(vector: dict[str, Any]) -> None:
    assert opened(vector) == vector["msg"]
    assert (
        signature(vector["token"], vector["timestamp"], vector["nonce"], vector["encrypt"]) == vector["msg_signature"]
    )


@named(VECTORS["negative"])
def test_what_is_wrong_in_any_byte_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Forged) as caught:
        opened(vector)
    assert ("signature" in str(caught.value)) == (vector["code"] == -40001)


@named(VECTORS["positive"])
def test_we_and_the_stand_in_seal_byte_for_byte_as_wecom_does(vector: dict[str, Any]) -> None:
    keys = Keys(vector["token"], vector["encoding_aes_key"], vector["receiveid"])
    sealed = keys.encrypted(vector["msg"], random16=bytes.fromhex(vector["random16_hex"]))
    assert sealed == vector["encrypt"]
    assert envelope(vector).sealed(vector["msg"], random16=bytes.fromhex(vector["random16_hex"])) == sealed
    assert keys.signature(vector["timestamp"], vector["nonce"], sealed) == vector["msg_signature"]


@named([one for one in VECTORS["envelopes"] if one["name"].startswith("xml")])
def test_the_outer_xml_is_read_or_refused(vector: dict[str, Any]) -> None:
    if vector["accept"]:
        assert fields(vector["body"])["Encrypt"] == vector["encrypt"]
        return
    try:
        found = fields(vector["body"])
    except PayloadError:
        return
    assert "Encrypt" not in found


@pytest.mark.parametrize(
    "text",
    [
        "<xml><a>1</a><a>2</a></xml>",
        "<xml>&a;</xml>",
        "<!doctype xml><xml/>",
        "<!DOCTYPE xml SYSTEM 'file:///etc/passwd'><xml/>",
        "<xml/><xml/>",
        "<xml>\x00</xml>",
        "<a>" * 10_000,
    ],
)
def test_xml_that_could_mean_two_things_or_harm_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        fields(text)


def test_what_a_person_typed_is_not_taken_for_a_document_type() -> None:
    typed = '<!DOCTYPE x [<!ENTITY a "b">]>&a; <b>'
    assert fields(f"<xml><Content><![CDATA[{typed}]]></Content><Empty/></xml>") == {"Content": typed, "Empty": ""}


@named(VECTORS["encoding_aes_keys"])
def test_a_key_is_43_characters(vector: dict[str, Any]) -> None:
    text = vector["encoding_aes_key"]
    if not vector["valid"]:
        with pytest.raises(ValueError, match="43"):
            aes_key(text)
        return
    assert aes_key(text).hex() == vector["aes_key_hex"]
    for last in vector.get("other_last_characters_with_same_aes_key", []):
        assert aes_key(text[:-1] + last).hex() == vector["aes_key_hex"]


@given(message=st.text(max_size=300), receiver=st.sampled_from(["", "ww01", "企业"]))
def test_what_is_sealed_comes_out_again_and_only_for_its_receiver(message: str, receiver: str) -> None:
    message = message.encode("utf-8", "replace").decode()
    keys = Keys("token", KEY, receiver)
    sealed = keys.encrypted(message)
    ours = Envelope("token", aes_key(KEY), receiver)
    assert ours.opened(keys.signature("1", "2", sealed), "1", "2", sealed) == message
    assert keys.opened(ours.sealed(message)) == message
    with pytest.raises(Forged):
        replace(ours, receiver=receiver + "x").opened(keys.signature("1", "2", sealed), "1", "2", sealed)


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_but_forged_comes_of_nonsense(sign: str, timestamp: str, nonce: str, sealed: str) -> None:
    ours = Envelope("token", aes_key(KEY), "")
    with pytest.raises(Forged):
        ours.opened(sign, timestamp, nonce, sealed)
    if not any("\ud800" <= ch <= "\udfff" for ch in timestamp + nonce + sealed):
        with pytest.raises(Forged):
            ours.opened(signature("token", timestamp, nonce, sealed), timestamp, nonce, sealed)


def test_no_secret_is_shown() -> None:
    shown = repr(Envelope("the-token", aes_key(KEY), "ww01")) + repr(Keys("the-token", KEY))
    assert "the-token" not in shown
    assert KEY not in shown
    assert str(aes_key(KEY)) not in shown
