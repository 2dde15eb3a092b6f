"""The one model of what is shown to people: alert cards, chat answers, codes, tests.

Every string in a `Document` is plain text, wherever it came from: nothing in it is markup, a mention or a link. Structure
(bold titles, facts, links, buttons) exists only as these classes, so a renderer that escapes every string it is given
cannot be tricked by the text of an alert. Renderers live in `bot/channels` and `bot/platforms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from handlers.texts import Language, Say, render

Tone = Literal["critical", "warning", "info", "resolved", "neutral"]
"""The colour of a card: the severity of a firing alert, `resolved` for a recovery, `neutral` for everything else."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; line breaks in it are kept."""

    text: Say


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of label and value, each on its own line."""

    pairs: tuple[tuple[Say, Say], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `ordered` ones are numbered from 1."""

    items: tuple[Say, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a header; drawn as lines where the platform has no tables."""

    header: tuple[Say, ...]
    rows: tuple[tuple[Say, ...], ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """Commands (and addresses) that can be copied and sent as they are."""

    commands: tuple[Say, ...]


Block = Paragraph | Facts | Items | Table | Examples


@dataclass(frozen=True, slots=True)
class Link:
    """An address somebody may open; only http and https with a host are ever rendered as links (see `safe_url`)."""

    label: Say
    url: str


Style = Literal["plain", "primary", "danger"]


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press instead of typing it: pressing says `says`.

    A platform without buttons leaves them out: the words of the document say what can be typed.

    says    the command, in both languages ("yes", "ack #42")
    anyone  everybody in the conversation may press it; else only the person who is answered
    once    it works a single time; a second press is told who was first
    nonce   the same for buttons of which only one can be pressed; "" makes one up
    token   what comes back when it is pressed (see `handlers.buttons`): [A-Za-z0-9_.-], at most 900 characters; "" until
            the document is owed, and a button without a token is not drawn
    """

    label: Say
    says: Say
    style: Style = "plain"
    anyone: bool = False
    once: bool = True
    nonce: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a form.

    kind      what is expected; "long" is text of several lines, "choices" any number of `options`
    question  how it is asked for where forms do not exist
    value     what stands in it at first; of "choices" the values, comma-separated
    options   value and label; platforms show at most 100
    """

    name: str
    label: Say
    question: Say
    kind: Literal["text", "phone", "email", "url", "code", "long", "choices"] = "text"
    required: bool = False
    value: str = ""
    options: tuple[tuple[str, Say], ...] = ()
    hint: Say = ""
    max_chars: int = 200


@dataclass(frozen=True, slots=True)
class Dialog:
    """A form to fill in.

    title   at most 24 characters in every language: Slack cuts longer ones
    command the command that the form stands for, "contact add"
    subject what the command is about: the contact or group that is edited, "" for a new one
    token   comes back with the values, as of a button
    """

    title: Say
    command: str
    fields: tuple[Field, ...]
    submit: Say
    subject: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A title, then blocks, then links, then a small footer; in chat answers also buttons, or a form.

    badge   short words before the title that must survive every cut: "CRITICAL", "RESOLVED", "TEST"
    number  the alert's number people type (`#42`); must survive every cut
    """

    title: Say
    blocks: tuple[Block, ...] = ()
    tone: Tone = "neutral"
    badge: Say = ""
    number: int | None = None
    links: tuple[Link, ...] = ()
    footer: Say = ""
    buttons: tuple[Button, ...] = ()
    dialog: Dialog | None = None

    def heading(self) -> str:
        """The title as one line: `[CRITICAL] #42 disk full`, without the parts that are missing."""
        badge = str(self.badge)
        parts = (f"[{badge}]" if badge else "", f"#{self.number}" if self.number is not None else "", str(self.title))
        return " ".join(part for part in parts if part)


def mapped(document: Document, change: Callable[[Say], Say]) -> Document:
    """The document with `change` applied to every string people read, the URLs and the commands to copy left alone."""

    def block(old: Block) -> Block:
        match old:
            case Paragraph(text):
                return Paragraph(change(text))
            case Facts(pairs):
                return Facts(tuple((change(label), change(value)) for label, value in pairs))
            case Items(items, ordered):
                return Items(tuple(change(item) for item in items), ordered)
            case Table(header, rows):
                return Table(tuple(map(change, header)), tuple(tuple(map(change, row)) for row in rows))
            case Examples():
                return old

    def asked(old: Field) -> Field:
        return replace(
            old,
            label=change(old.label),
            question=change(old.question),
            hint=change(old.hint),
            options=tuple((value, change(label)) for value, label in old.options),
        )

    dialog = document.dialog
    return Document(
        title=change(document.title),
        tone=document.tone,
        badge=change(document.badge),
        number=document.number,
        footer=change(document.footer),
        blocks=tuple(map(block, document.blocks)),
        links=tuple(Link(change(link.label), link.url) for link in document.links),
        buttons=tuple(replace(button, label=change(button.label)) for button in document.buttons),
        dialog=dialog
        and replace(
            dialog,
            title=change(dialog.title),
            submit=change(dialog.submit),
            fields=tuple(map(asked, dialog.fields)),
        ),
    )


def localize(document: Document, language: Language) -> Document:
    """The document with every text in that language; only such a document may be rendered or stored."""

    def words(say: Say) -> Say:
        return render(say, language)

    whole = mapped(document, words)
    if not whole.buttons and not any(isinstance(block, Examples) for block in whole.blocks):
        return whole
    return replace(
        whole,
        blocks=tuple(
            Examples(tuple(map(words, block.commands))) if isinstance(block, Examples) else block
            for block in whole.blocks
        ),
        buttons=tuple(replace(button, says=render(button.says, language)) for button in whole.buttons),
    )


def to_json(document: Document) -> dict[str, Any]:
    """A localized document as JSON, for the outbox; `from_json` is its inverse."""

    def block(item: Block) -> dict[str, Any]:
        match item:
            case Paragraph(text):
                return {"paragraph": str(text)}
            case Facts(pairs):
                return {"facts": [[str(label), str(value)] for label, value in pairs]}
            case Items(items, ordered):
                return {"items": [str(item) for item in items], "ordered": ordered}
            case Table(header, rows):
                return {"table": [[str(cell) for cell in row] for row in (header, *rows)]}
            case Examples(commands):
                return {"examples": [str(command) for command in commands]}

    return {
        "title": str(document.title),
        "tone": document.tone,
        "badge": str(document.badge),
        "number": document.number,
        "footer": str(document.footer),
        "blocks": [block(item) for item in document.blocks],
        "links": [[str(link.label), link.url] for link in document.links],
        "buttons": [[str(one.label), str(one.says), one.style, one.token] for one in document.buttons if one.token],
        "dialog": document.dialog and _dialog_to_json(document.dialog),
    }


def _dialog_to_json(dialog: Dialog) -> dict[str, Any]:
    return {
        "title": str(dialog.title),
        "command": dialog.command,
        "subject": dialog.subject,
        "submit": str(dialog.submit),
        "token": dialog.token,
        "fields": [
            {
                "name": one.name,
                "label": str(one.label),
                "question": str(one.question),
                "kind": one.kind,
                "required": one.required,
                "value": one.value,
                "options": [[value, str(label)] for value, label in one.options],
                "hint": str(one.hint),
                "max_chars": one.max_chars,
            }
            for one in dialog.fields
        ],
    }


def from_json(stored: Mapping[str, Any]) -> Document:
    """The document that `to_json` wrote."""

    def block(item: Mapping[str, Any]) -> Block:
        if "paragraph" in item:
            return Paragraph(item["paragraph"])
        if "facts" in item:
            return Facts(tuple((label, value) for label, value in item["facts"]))
        if "items" in item:
            return Items(tuple(item["items"]), item["ordered"])
        if "table" in item:
            header, *rows = (tuple(row) for row in item["table"])
            return Table(header, tuple(rows))
        return Examples(tuple(item["examples"]))

    return Document(
        title=stored["title"],
        tone=stored["tone"],
        badge=stored["badge"],
        number=stored["number"],
        footer=stored["footer"],
        blocks=tuple(map(block, stored["blocks"])),
        links=tuple(Link(label, url) for label, url in stored["links"]),
        buttons=tuple(
            Button(label, says, style, token=token) for label, says, style, token in stored.get("buttons", ())
        ),
        dialog=_dialog_from_json(stored["dialog"]) if stored.get("dialog") else None,
    )


def _dialog_from_json(stored: Mapping[str, Any]) -> Dialog:
    fields = (
        Field(**{**one, "options": tuple((value, label) for value, label in one["options"])})
        for one in stored["fields"]
    )
    return Dialog(
        title=stored["title"],
        command=stored["command"],
        fields=tuple(fields),
        submit=stored["submit"],
        subject=stored["subject"],
        token=stored["token"],
    )
