"""Messages for the group bots of Lark and Feishu: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from handlers.sources.reader import Node
from handlers.sources.robot_parts import (
    DEPTH_MAX,
    Said,
    cleaned,
    from_markdown,
    from_text,
    joined,
    kept,
    objects,
    unknown_type,
)

LOCALES = ("zh_cn", "en_us")
TEXT_TAGS = ("plain_text", "lark_md", "markdown")


def read(top: Node) -> Said:
    kind = top.get("msg_type").text()
    if kind not in READERS:
        raise unknown_type(top.get("msg_type"), READERS)
    field = "card" if kind == "interactive" else "content"
    # Tools that know the app's interface write the object as JSON text; robots are given objects.
    part = top.get(field).unfolded()
    said = READERS[kind](part)
    # A picture or a group's card has no room for the keyword, without which a robot may refuse it for good.
    body = None if kind in ("image", "share_chat") else kept({"msg_type": kind, field: cleaned(part.raw)})
    return Said(said.title, said.text, said.links, body)


def _text(part: Node) -> Said:
    return Said("", from_text(part.get("text").scalar()))


def _post(part: Node) -> Said:
    locales = part.get("post")
    names = [name for name, _node in locales.fields()]
    chosen = next((name for name in LOCALES if name in names), names[0] if names else LOCALES[0])
    post = locales.get(chosen)
    links: list[tuple[str, str]] = []
    lines = []
    for line in objects(post.get("content"), 200):
        words = []
        for node in objects(line):
            tag = node.get("tag").text()
            if tag == "at":
                words.append("@" + (node.get("user_name").scalar() or node.get("user_id").scalar()))
            elif tag in ("text", "a"):
                words.append(node.get("text").scalar())
            if tag == "a":
                links.append((node.get("text").scalar(), node.get("href").text()))
        lines.append("".join(words))
    return Said(post.get("title").scalar(), "\n".join(lines), tuple(links))


def _picture(part: Node) -> Said:
    part.get("image_key").text()
    return Said("Picture for Lark", "")


def _share(part: Node) -> Said:
    part.get("share_chat_id").text()
    return Said("Card of a Lark group", "")


def _card(part: Node) -> Said:
    header = part.get("header")
    title = _heading(header.raw)
    body = part.get("body").raw if part.has("body") else None
    elements = [
        part.get("elements").raw,
        body.get("elements") if isinstance(body, dict) else None,
        *_first_locale(part.get("i18n_elements").raw),
    ]
    texts: list[str] = []
    links: list[tuple[str, str]] = []
    for element in elements:
        for text, url in _said(element):
            if url:
                links.append((text or "link", url))
            else:
                words, inner = from_markdown(text)
                texts.append(words)
                links.extend(inner)
    return Said(title, joined(texts), tuple(links))


def _heading(header: Any) -> str:
    title = header.get("title") if isinstance(header, dict) else None
    content = title.get("content") if isinstance(title, dict) else None
    return content if isinstance(content, str) else ""


def _first_locale(localized: Any) -> list[Any]:
    if not isinstance(localized, dict) or not localized:
        return []
    return [localized.get("zh_cn") or next(iter(localized.values()))]


def _said(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text of a card in its order, and of every button its label and address."""
    if depth > DEPTH_MAX:
        return
    if isinstance(value, list):
        for one in value:
            yield from _said(one, depth + 1)
    elif isinstance(value, dict):
        if isinstance(url := _url(value), str):
            label = value.get("text")
            yield str(label.get("content", "")) if isinstance(label, dict) else "", url
            return
        if value.get("tag") in TEXT_TAGS and isinstance(value.get("content"), str):
            yield value["content"], ""
            return
        for one in value.values():
            if isinstance(one, dict | list):
                yield from _said(one, depth + 1)


def _url(element: Mapping[str, Any]) -> Any:
    """Where a button leads; None for everything else."""
    if element.get("tag") != "button":
        return None
    multi = element.get("multi_url")
    if isinstance(element.get("url"), str):
        return element["url"]
    if isinstance(multi, dict):
        return multi.get("url")
    for one in element.get("behaviors") or () if isinstance(element.get("behaviors"), list) else ():
        if isinstance(one, dict) and isinstance(one.get("default_url"), str):
            return one["default_url"]
    return None


READERS: Mapping[str, Callable[[Node], Said]] = {
    "text": _text,
    "post": _post,
    "image": _picture,
    "share_chat": _share,
    "interactive": _card,
}
