"""Messages for Slack's incoming webhooks: https://api.slack.com/messaging/webhooks"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handlers.sources.reader import Node
from handlers.sources.robot_parts import DEPTH_MAX, Said, cleaned, from_mrkdwn, joined, kept

PASSED_ON = ("text", "blocks", "attachments", "mrkdwn", "unfurl_links", "unfurl_media")
"""What a webhook takes; channel, name and picture of the sender are fixed when it is made."""

BUTTONS = ("button", "image", "static_select")


def read(top: Node) -> Said:
    raw = top.raw
    if not isinstance(raw, dict):
        top.get("text")  # says what was expected
        raw = {}
    whole = {name: cleaned(raw[name]) for name in PASSED_ON if raw.get(name) is not None}
    text, links = from_mrkdwn(top.get("text").text())
    # Beside blocks the text is what notifications show, most often their title.
    instead = isinstance(raw.get("blocks"), list) and bool(raw["blocks"])
    texts = [] if instead else [text]
    found: list[tuple[str, str]] = list(links)
    title = ""
    for kind, said in (*_blocks(whole.get("blocks")), *_attachments(whole.get("attachments"))):
        if kind == "url":
            label, _blank, url = said.rpartition(" ")
            found.append((label or "link", url))
            continue
        words, inner = from_mrkdwn(said)
        found.extend(inner)
        if kind == "title" and not title:
            title = words
        else:
            texts.append(words)
    if instead and not title:
        title = text.strip().partition("\n")[0]
    return Said(title, joined(texts) or text, tuple(found), kept(whole))


def _blocks(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """What blocks say, in their order: ("title" | "text", words) or ("url", label and address)."""
    if depth > DEPTH_MAX:
        return
    if isinstance(value, list):
        for one in value:
            yield from _blocks(one, depth + 1)
        return
    if not isinstance(value, dict):
        return
    inner = value.get("text")
    words = inner.get("text") if isinstance(inner, dict) else inner
    if isinstance(value.get("url"), str):
        yield "url", f"{words if isinstance(words, str) else ''} {value['url']}"
        return
    if value.get("type") in BUTTONS:
        return
    if isinstance(words, str):
        yield "title" if value.get("type") == "header" else "text", words
    for name in ("fields", "elements", "accessory"):
        yield from _blocks(value.get(name), depth + 1)


def _attachments(value: Any) -> Iterator[tuple[str, str]]:
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, dict):
            continue
        blocks = one.get("blocks")
        names = ("pretext", "title", "text") if any(one.get(name) for name in ("title", "text")) else ("pretext",)
        for name in names:
            if isinstance(one.get(name), str):
                yield "title" if name == "title" else "text", one[name]
        if isinstance(one.get("title_link"), str):
            yield "url", f"{one.get('title', '')} {one['title_link']}"
        fields = one.get("fields")
        for field in fields if isinstance(fields, list) else ():
            if isinstance(field, dict):
                yield "text", f"{field.get('title', '')}: {field.get('value', '')}"
        yield from _blocks(blocks)
        if not blocks and len(names) == 1 and isinstance(one.get("fallback"), str):
            yield "text", one["fallback"]
