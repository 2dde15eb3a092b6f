"""Callbacks of Lark: what is opened and what is refused, with the known answers."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.platforms.lark_callback import Forged, decrypted, opened, signature
from bot.sandbox.lark_client import callback_sign, encrypt

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "vectors" / "lark.json").read_text(encoding="utf-8")
)
SEALED = VECTORS["encryption"]
REQUESTS = VECTORS["event_requests"]["cases"]
LEGACY = VECTORS["legacy_card_signature"]
KEY, TOKEN = "oncall-Encrypt-Key-01", "vt_3Yq8Lk2Nw7"
SIGNED_AT = datetime.fromtimestamp(1_700_000_000, UTC)
REPLAYED = next(case for case in REQUESTS if case["name"].startswith("REPLAY"))
CHALLENGE = {"challenge": "ajls384", "token": TOKEN, "type": "url_verification"}


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def event(**header: Any) -> dict[str, Any]:
    whole = {"event_id": "e1", "event_type": "x", "create_time": "1700000000000", "token": TOKEN, "app_id": "cli_a1"}
    return {"schema": "2.0", "header": {k: v for k, v in (whole | header).items() if v is not ...}, "event": {}}


def sealed(body: Any, key: str = KEY) -> bytes:
    return json.dumps({"encrypt": encrypt(json.dumps(body), key)}).encode()


def signed(raw: bytes, at: int | str = 1_700_000_000, key: str = KEY) -> dict[str, str]:
    return {
        "X-Lark-Request-Timestamp": str(at),
        "X-Lark-Request-Nonce": "n0nce",
        "X-Lark-Signature": callback_sign(str(at), "n0nce", key, raw),
    }


def read(raw: bytes, headers: dict[str, str] | None = None, key: str = KEY, token: str = TOKEN) -> dict[str, Any]:
    return opened(raw, headers or {}, encrypt_key=key, verification_token=token, now=SIGNED_AT)


def refused(raw: bytes, headers: dict[str, str] | None = None, key: str = KEY, token: str = TOKEN) -> bool:
    try:
        read(raw, headers, key, token)
    except Forged:
        return True
    return False


# ---- known answers


@pytest.mark.parametrize("row", SEALED["positive"], ids=names(SEALED["positive"]))
def test_known_texts_are_decrypted_and_encrypted_alike(row: dict[str, Any]) -> None:
    assert decrypted(row["encrypt"], row["encrypt_key"]) == row["plaintext"]
    assert encrypt(row["plaintext"], row["encrypt_key"], bytes.fromhex(row["iv_hex"])) == row["encrypt"]


@pytest.mark.parametrize("row", SEALED["negative"], ids=names(SEALED["negative"]))
def test_known_bad_texts_are_refused_or_changed_unseen(row: dict[str, Any]) -> None:
    raw = json.dumps({"encrypt": row["encrypt"]}).encode()
    if row["expect"] == "error":
        with pytest.raises(ValueError):  # noqa: PT011  (several causes, one kind)
            decrypted(row["encrypt"], row["encrypt_key"])
    else:
        # Decryption proves nothing: without the signature it is refused all the same.
        assert decrypted(row["encrypt"], row["encrypt_key"]) == '{"type":"y","n":1}'
    assert refused(raw, signed(raw, key=row["encrypt_key"]), row["encrypt_key"])


@pytest.mark.parametrize("row", REQUESTS, ids=names(REQUESTS))
def test_known_requests_are_judged_as_documented(row: dict[str, Any]) -> None:
    at = int(row["headers"].get("X-Lark-Request-Timestamp", 1_700_000_000))
    raw, now = row["body"].encode(), datetime.fromtimestamp(at, UTC)
    try:
        body = opened(
            raw, row["headers"], encrypt_key=row["encrypt_key"], verification_token=row["verification_token"], now=now
        )
    except Forged:
        assert not row["accept"]
    else:
        assert row["accept"]
        assert body.get("challenge") or body["header"]["tenant_key"] == "1a2b3c4d5e6f7081"
    if row["headers"]:
        right = signature(str(at), row["headers"]["X-Lark-Request-Nonce"], row["encrypt_key"], raw)
        assert right == row["right_signature"] or not row["accept"]


def test_the_old_signature_of_cards_is_refused() -> None:
    for sign in (LEGACY["headers"]["X-Lark-Signature"], LEGACY["negative"]["signature"]):
        headers = LEGACY["headers"] | {"X-Lark-Signature": sign}
        assert refused(LEGACY["body"].encode(), headers)
        assert refused(LEGACY["body"].encode(), headers, key="")


# ---- freshness


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(0), True),
        (timedelta(hours=7, minutes=6), True),  # the last of the platform's own tries
        (timedelta(hours=8), True),
        (timedelta(hours=8, seconds=1), False),
        (timedelta(days=365), False),
        (-timedelta(minutes=59), True),
        (-timedelta(hours=1, seconds=1), False),
    ],
)
def test_a_request_is_good_for_as_long_as_the_platform_tries(age: timedelta, fresh: bool) -> None:
    raw = sealed(event())
    at = int((SIGNED_AT - age).timestamp())
    assert refused(raw, signed(raw, at)) is not fresh
    plain = json.dumps(event(create_time=f"{at}000")).encode()
    assert refused(plain, key="") is not fresh


def test_a_replayed_request_of_long_ago_is_refused() -> None:
    assert refused(REPLAYED["body"].encode(), REPLAYED["headers"])


@pytest.mark.parametrize(
    "stamp", ["", "x", "-1700000000", "１７００００００００", "1700000000.5", "9" * 40, " 1700000000"]
)
def test_a_signed_timestamp_that_is_none_is_refused(stamp: str) -> None:
    raw = sealed(event())
    assert refused(raw, signed(raw, stamp))


def test_milliseconds_and_microseconds_are_understood() -> None:
    raw = sealed(event())
    assert not refused(raw, signed(raw, 1_700_000_000_000))
    assert not refused(json.dumps(event(create_time="1700000000000000")).encode(), key="")
    assert not refused(json.dumps(event(create_time=...)).encode(), key="")


# ---- the rule, case by case


def changed(raw: bytes) -> bytes:
    """The IV flipped in one bit: the plain text changes, and no padding breaks."""
    blob = bytearray(base64.b64decode(json.loads(raw)["encrypt"]))
    blob[0] ^= 1
    return json.dumps({"encrypt": base64.b64encode(blob).decode()}).encode()


EVENT, PLAIN = sealed(event()), json.dumps(event()).encode()
OTHER, LIST, ASKED = sealed(event(), "k"), sealed([]), sealed(CHALLENGE)
CASES: list[tuple[str, bytes, dict[str, str], str, str, bool]] = [
    ("encrypted and signed", EVENT, signed(EVENT), KEY, TOKEN, True),
    ("not signed", EVENT, {}, KEY, TOKEN, False),
    ("plain, signed", PLAIN, signed(PLAIN), KEY, TOKEN, True),
    ("plain, not signed, though there is a key", PLAIN, {}, KEY, TOKEN, False),
    ("changed behind the signature", changed(EVENT), signed(EVENT), KEY, TOKEN, False),
    ("one blank more", EVENT + b" ", signed(EVENT), KEY, TOKEN, False),
    ("signed with another key", EVENT, signed(EVENT, key="k"), KEY, TOKEN, False),
    ("encrypted with another key", OTHER, signed(OTHER), KEY, TOKEN, False),
    ("signed, no token configured", EVENT, signed(EVENT), KEY, "", True),
    ("not signed, no token configured", EVENT, {}, KEY, "", False),
    ("token alone", PLAIN, {}, "", TOKEN, True),
    ("wrong token", json.dumps(event(token="vt_x")).encode(), {}, "", TOKEN, False),
    ("token is a number", json.dumps(event(token=5)).encode(), {}, "", TOKEN, False),
    ("token missing", json.dumps(event(token=...)).encode(), {}, "", TOKEN, False),
    (
        "old form, token at the top",
        json.dumps({"uuid": "u", "token": TOKEN, "event": {}}).encode(),
        {},
        "",
        TOKEN,
        True,
    ),
    ("encrypted, no key here", EVENT, signed(EVENT), "", TOKEN, False),
    ("nothing configured", PLAIN, {}, "", "", False),
    ("nothing configured, empty token", json.dumps(event(token="")).encode(), {}, "", "", False),
    ("challenge, encrypted", sealed(CHALLENGE), {}, KEY, TOKEN, True),
    ("challenge, encrypted and signed", ASKED, signed(ASKED), KEY, TOKEN, True),
    ("challenge, plain, key here", json.dumps(CHALLENGE).encode(), {}, KEY, TOKEN, True),
    ("challenge, plain, no key", json.dumps(CHALLENGE).encode(), {}, "", TOKEN, True),
    ("challenge, wrong token", sealed(CHALLENGE | {"token": "vt_x"}), {}, KEY, TOKEN, False),
    ("challenge, encrypted, no token configured", sealed(CHALLENGE), {}, KEY, "", True),
    ("challenge, plain, no token configured", json.dumps(CHALLENGE).encode(), {}, KEY, "", False),
    ("challenge, nothing configured", json.dumps(CHALLENGE | {"token": ""}).encode(), {}, "", "", False),
    ("challenge, wrong signature", sealed(CHALLENGE), signed(b"x"), KEY, TOKEN, False),
    ("encrypt is a number", b'{"encrypt":5}', signed(b'{"encrypt":5}'), KEY, TOKEN, False),
    ("a list", b"[]", signed(b"[]"), KEY, TOKEN, False),
    ("encrypted list", LIST, signed(LIST), KEY, TOKEN, False),
    ("not JSON", b"{", signed(b"{"), KEY, TOKEN, False),
    ("too deep", b"[" * 100_000, {}, "", TOKEN, False),
    ("not UTF-8", b'{"a":"\xff"}', {}, "", TOKEN, False),
]


@pytest.mark.parametrize(("raw", "headers", "key", "token", "good"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_only_what_is_proven_is_opened(raw: bytes, headers: dict[str, str], key: str, token: str, good: bool) -> None:
    assert refused(raw, headers, key, token) is not good


def test_a_right_signature_over_another_token_is_refused() -> None:
    for header in ({"token": ...}, {"token": "vt_x"}, {"token": ""}, {"token": "\udc80"}):
        raw = sealed(event(**header))
        assert refused(raw, signed(raw)), header


@pytest.mark.parametrize("shape", [str.upper, str.lower, str.title])
def test_header_names_may_be_written_in_any_case(shape: Any) -> None:
    assert not refused(EVENT, {shape(name): value for name, value in signed(EVENT).items()})


def test_what_was_signed_is_the_key_behind_timestamp_and_nonce() -> None:
    assert signature("1", "2", "k", b"b") == hashlib.sha256(b"12kb").hexdigest()


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(["X-Lark-Signature", "X-Lark-Request-Timestamp", "X-Lark-Request-Nonce"]), st.text()
    ),
    st.sampled_from(["", KEY]),
    st.sampled_from(["", TOKEN]),
)
@example(b"{}", {"X-Lark-Signature": "\udc80"}, KEY, TOKEN)
@example(b'{"header":[]}', {}, "", TOKEN)
def test_no_bytes_and_headers_get_in(raw: bytes, headers: dict[str, str], key: str, token: str) -> None:
    assert refused(raw, headers, key, token)
