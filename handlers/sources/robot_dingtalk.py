"""Messages for DingTalk's group robots: https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handlers.sources.reader import Node
from handlers.sources.robot_parts import Said, cleaned, from_markdown, joined, kept, objects, unknown_type

AT_MAX = 50


def read(top: Node) -> Said:
    kind = top.get("msgtype").text()
    if kind not in READERS:
        raise unknown_type(top.get("msgtype"), READERS)
    part = top.get(kind)
    said = READERS[kind](part)
    body = {"msgtype": kind, kind: cleaned(part.raw)}
    if at := _mentions(top.get("at")):
        body["at"] = at
    given = top.get("msgUuid")
    return Said(said.title, said.text, said.links, kept(body), given.scalar() if given.is_scalar() else "")


def _mentions(node: Node) -> dict[str, object]:
    """Whom the sender mentions, with the types that DingTalk wants; what is none of them is left out."""
    at: dict[str, object] = {}
    if not isinstance(node.raw, dict):
        return at
    room = AT_MAX
    for name in ("atMobiles", "atUserIds"):
        listed = node.get(name)
        people = (
            [one.scalar() for one in objects(listed, room) if one.is_scalar()] if isinstance(listed.raw, list) else []
        )
        if people:
            at[name] = people
            room -= len(people)
    if node.get("isAtAll").raw in (True, "true"):
        at["isAtAll"] = True
    return at


def _text(part: Node) -> Said:
    return Said("", part.get("content").scalar())


def _markdown(part: Node) -> Said:
    text, links = from_markdown(part.get("text").text())
    return Said(part.get("title").text(), text, links)


def _link(part: Node) -> Said:
    return Said(part.get("title").text(), part.get("text").text(), (("link", part.get("messageUrl").text()),))


def _action_card(part: Node) -> Said:
    text, links = from_markdown(part.get("text").text())
    buttons = [(part.get("singleTitle").text(), part.get("singleURL").text())]
    buttons += [(one.get("title").text(), one.get("actionURL").text()) for one in objects(part.get("btns"))]
    return Said(part.get("title").text(), text, (*(button for button in buttons if button[1]), *links))


def _feed_card(part: Node) -> Said:
    entries = [(one.get("title").text(), one.get("messageURL").text()) for one in objects(part.get("links"))]
    return Said("", joined(title for title, _url in entries), tuple(entries))


READERS: Mapping[str, Callable[[Node], Said]] = {
    "text": _text,
    "markdown": _markdown,
    "link": _link,
    "actionCard": _action_card,
    "feedCard": _feed_card,
}
