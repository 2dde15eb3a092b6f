"""Messages for WeCom's group robots: https://developer.work.weixin.qq.com/document/path/91770"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from handlers.sources.reader import Node
from handlers.sources.robot_parts import Said, cleaned, from_markdown, from_text, joined, kept, objects, unknown_type

UPLOADED = ("file", "voice")
"""What the sender has uploaded with the key of his robot: no other robot can send it."""


def read(top: Node) -> Said:
    kind = top.get("msgtype").text()
    if kind not in READERS:
        raise unknown_type(top.get("msgtype"), READERS)
    part = top.get(kind)
    said = READERS[kind](part)
    body = None if kind in UPLOADED else kept({"msgtype": kind, kind: cleaned(part.raw)})
    return Said(said.title, said.text, said.links, body)


def _text(part: Node) -> Said:
    return Said("", from_text(part.get("content").scalar()))


def _markdown(part: Node) -> Said:
    text, links = from_markdown(part.get("content").text())
    return Said("", text, links)


def _image(part: Node) -> Said:
    part.get("base64").text()
    return Said("Picture for WeCom", "")


def _uploaded(part: Node) -> Said:
    part.get("media_id").text()
    return Said("File for WeCom", "It was uploaded for another robot and cannot be passed on.")


def _news(part: Node) -> Said:
    articles = objects(part.get("articles"))
    texts = [text for one in articles for text in (one.get("title").text(), one.get("description").text())]
    return Said("", joined(texts), tuple((one.get("title").text(), one.get("url").text()) for one in articles))


def _template_card(part: Node) -> Said:
    main = _within(part, "main_title")
    lines = [
        *main[1:],
        ": ".join(_within(part, "emphasis_content", "desc", "title")),
        *_within(part, "quote_area", "title", "quote_text"),
        part.get("sub_title_text").text(),
        *(
            f"{one.get('keyname').scalar()}: {one.get('value').scalar()}"
            for one in objects(part.get("horizontal_content_list"))
        ),
        *(
            f"{one.get('title').scalar()}: {one.get('desc').scalar()}"
            for one in objects(part.get("vertical_content_list"))
        ),
    ]
    return Said("".join(main[:1]), joined(lines), tuple(_jumps(part)))


def _within(part: Node, field: str, *names: str) -> list[str]:
    node = part.get(field)
    if node.missing:
        return []
    return [text for name in names or ("title", "desc") if (text := node.get(name).scalar())]


def _jumps(part: Node) -> Iterator[tuple[str, str]]:
    for one in objects(part.get("jump_list")):
        yield one.get("title").scalar(), one.get("url").text()
    for one in objects(part.get("horizontal_content_list")):
        yield one.get("keyname").scalar(), one.get("url").text()
    action = part.get("card_action")
    if not action.missing:
        yield "link", action.get("url").text()


READERS: Mapping[str, Callable[[Node], Said]] = {
    "text": _text,
    "markdown": _markdown,
    "markdown_v2": _markdown,
    "image": _image,
    "news": _news,
    "file": _uploaded,
    "voice": _uploaded,
    "template_card": _template_card,
}
