"""WeCom's XML: one flat element with text in it. Nothing is ever defined or expanded by a document.

The outer XML of a callback is read before its signature is known to be right.
"""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import ParseError, TreeBuilder, XMLParser

from handlers.errors import PayloadError
from handlers.texts import _


class _NoDoctype(TreeBuilder):
    """Stops where a document type begins, before any entity of it is declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:  # noqa: ARG002  (the parser's call)
        raise PayloadError("$", _("a document type is not allowed"))


def fields(text: str) -> dict[str, str]:
    """Name and text of each child of `<xml>`; of elements with children only their own text.

    Raises PayloadError for what is not such XML, and for a name that stands there twice: which one would count?
    """
    parser = XMLParser(target=_NoDoctype())  # noqa: S314  (entities need a document type, which is refused above)
    try:
        parser.feed(text)
        root = parser.close()
    except (ParseError, ValueError):
        raise PayloadError("$", _("XML is expected")) from None
    found: dict[str, str] = {}
    for child in root:
        if child.tag in found:
            raise PayloadError(f"$.{child.tag[:40]}", _("this stands there twice"))
        found[child.tag] = child.text or ""
    return found
