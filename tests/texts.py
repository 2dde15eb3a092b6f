"""The messages of the code and their translations: what `make texts` merges and the tests compare.

`python -m tests.texts` brings handlers/locale/zh.po up to date: new messages are added without a translation, those that
no longer exist leave, all others keep theirs. Then it lists what has to be translated.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
ROOMS = ("handlers", "bot")
ZH = ROOT / "handlers" / "locale" / "zh.po"

HEADER = """\
# Chinese (simplified) texts of Callboard. `make texts` adds new messages and removes old ones.
msgid ""
msgstr ""
"Language: zh\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


@dataclass(slots=True)
class Message:
    """One message of the code: its English, the plural where it has one, and the files that say it."""

    english: str
    plural: str | None = None
    files: list[str] = field(default_factory=list)


def messages() -> dict[str, Message]:
    """Every message of `_` and `n_`, by its (singular) English, in the order of files and lines."""
    found: dict[str, Message] = {}
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        for _line, said, _comments, _context in extract_from_file("python", path, {"_": None, "n_": (1, 2)}):
            english, plural = (said, None) if isinstance(said, str) else said[:2]
            message = found.setdefault(english, Message(english))
            message.plural = message.plural or plural
            if file not in message.files:
                message.files.append(file)
    return found


def translations() -> dict[str, str]:
    """English -> Chinese, as the catalogue has it; "" for what is not translated."""
    if not ZH.exists():
        return {}
    table = {}
    with ZH.open("rb") as file:
        for entry in read_po(file):
            if entry.id:
                english = entry.id if isinstance(entry.id, str) else entry.id[0]
                table[english] = entry.string if isinstance(entry.string, str) else (entry.string or ("",))[0]
    return table


def written(known: dict[str, str]) -> bytes:
    """The catalogue with these translations."""
    catalog = Catalog(locale="zh", charset="utf-8")
    for message in messages().values():
        chinese = known.get(message.english, "")
        places = [(file, 0) for file in message.files]
        if message.plural:
            catalog.add((message.english, message.plural), (chinese,), places)
        else:
            catalog.add(message.english, chinese, places)
    text = io.BytesIO()
    write_po(text, catalog, width=0, omit_header=True, include_lineno=False)
    return HEADER.encode() + text.getvalue()


def main() -> int:
    known = translations()
    ZH.parent.mkdir(exist_ok=True)
    ZH.write_bytes(written(known))
    missing = [english for english in messages() if not known.get(english)]
    for english in missing:
        sys.stdout.write(f"not translated: {english}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
