"""Contacts that are copied out of a chat can be pasted into it again, whatever the platform makes of the text."""

from __future__ import annotations

import pytest

from tests.stories.test_everywhere import Place, place

__all__ = ["place"]  # a fixture


@pytest.mark.parametrize("form", ["csv", "vcard"])
def test_what_is_copied_from_the_chat_is_understood_when_it_is_pasted(place: Place, form: str) -> None:
    place.asks("contact add Zhang Wei 13800138000 zhang_wei.a*b@example.com")
    place.asks("group create dba members Zhang Wei")
    exported = place.asks(f"contact export {form}")
    lines = exported[exported.index("name," if form == "csv" else "BEGIN:VCARD") :].split("\n")
    text = "\n".join(lines[:2] if form == "csv" else lines[:8])  # what follows is not what people see
    assert "+8613800138000" in text
    answer = place.asks(f"contact import {text}")
    assert "nothing to import" in answer, text
    assert "unchanged" in answer, text
