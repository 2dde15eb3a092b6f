"""Address books: vCards as phones and programs export them, tables as Google, Outlook and spreadsheets do, and our own.

The cards have the form of real exports (the properties, parameters, order, folding and encoding of each program); the
people in them are invented.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import sheets, vcards
from handlers.address_books import Entry

MACOS = """BEGIN:VCARD
VERSION:3.0
PRODID:-//Apple Inc.//macOS 13.0//EN
N:Doe;John;Richter\\,James;Mr.;Sr.
FN:Mr. John Richter\\,James Doe Sr.
ORG:Example;Accounting
EMAIL;type=INTERNET;type=WORK;type=pref:john.doe@example.com
TEL;type=WORK;type=pref:905-777-1234
TEL;type=CELL;type=VOICE:905-555-1234
TEL;type=HOME;type=FAX:905-888-1234
TEL;type=PAGER:905-111-1234
item1.X-ABLabel:AssistantPhone
item4.URL;type=pref:http\\://www.example.com
PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/4QBARXhpZgAATU0AKgAAAAgAAYdp
 AAQAAAABAAAAGgAAAAAA
END:VCARD"""

IPHONE = """BEGIN:VCARD
VERSION:3.0
PRODID:-//Apple Inc.//iPhone OS 17.4//EN
N:张;伟;;;
FN:张伟
item1.TEL;type=pref:+86 138 0013 8000
item1.X-ABLabel:工作
item2.EMAIL;type=INTERNET;type=pref:zhang.wei@example.com
item2.X-ABLabel:_$!<Other>!$_
END:VCARD"""

ANDROID = """BEGIN:VCARD
VERSION:2.1
N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E5=BC=A0;=E4=BC=9F;;;
FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E5=BC=A0=
=E4=BC=9F
TEL;CELL:13800138000
TEL;WORK;PREF:+86 21 1234 5678
EMAIL;WORK:zhangwei@example.com
ORG;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E7=A4=BA=E4=BE=8B
END:VCARD"""

GOOGLE = """BEGIN:VCARD
VERSION:3.0
FN:Li Lei
N:Lei;Li;;;
EMAIL;TYPE=INTERNET;TYPE=HOME:li.lei@example.com
TEL;TYPE=CELL:+8613900139000
CATEGORIES:myContacts,On Call
END:VCARD"""

EVOLUTION = """BEGIN:VCARD
VERSION:3.0
TEL;X-COUCHDB-UUID="c2fa1caa:2926";TYPE=CELL:905-666
 -1234
N:Doe;John;;;
EMAIL;TYPE=WORK;X-COUCHDB-UUID="83a75a5d-2777-45aa-bab5-76a4bd972490":john.
 doe@example.com
END:VCARD"""

VERSION_4 = """BEGIN:VCARD
VERSION:4.0
FN:Ana Pérez
N:Pérez;Ana;;;
TEL;VALUE=uri;TYPE="voice,cell":tel:+1-415-555-2671;ext=102
EMAIL;PREF=1:ana@example.com
LANG;PREF=1:en
TZ:Europe/Madrid
END:VCARD"""

CARDS = {
    "macOS": (MACOS, Entry("Mr. John Richter,James Doe Sr.", ("905-555-1234",), ("john.doe@example.com",))),
    "iPhone": (IPHONE, Entry("张伟", ("+86 138 0013 8000",), ("zhang.wei@example.com",))),
    "Android": (ANDROID, Entry("张伟", ("13800138000",), ("zhangwei@example.com",))),
    "Google": (GOOGLE, Entry("Li Lei", ("+8613900139000",), ("li.lei@example.com",), (), ("myContacts", "On Call"))),
    "Evolution": (EVOLUTION, Entry("John Doe", ("905-666-1234",), ("john.doe@example.com",))),
    "4.0": (
        VERSION_4,
        Entry("Ana Pérez", ("+1-415-555-2671",), ("ana@example.com",), language="en", timezone="Europe/Madrid"),
    ),
    "no name": ("BEGIN:VCARD\nTEL:1\nEND:VCARD", Entry("", ("1",))),
    "strange charset": (
        "BEGIN:VCARD\nFN;CHARSET=KLINGON;ENCODING=QUOTED-PRINTABLE:=E5=BC=A0\nEND:VCARD",
        Entry("张"),
    ),
}


@pytest.mark.parametrize(("card", "entry"), CARDS.values(), ids=CARDS)
def test_a_vcard_is_read_as_its_program_writes_it(card: str, entry: Entry) -> None:
    assert vcards.looks_like_one(card)
    assert vcards.read(card) == [entry]
    assert vcards.read(f"{card}\n{card}") == [entry, entry]


TABLES = {
    "our own": (
        "name,phone,email\nAnn,'+8613800138000,a@example.com",
        Entry("Ann", ("+8613800138000",), ("a@example.com",)),
    ),
    "Chinese": (
        "姓名，电话，邮箱，组\n张伟，13800138000，z@example.com，数据库",
        Entry("张伟", ("13800138000",), ("z@example.com",), (), ("数据库",)),
    ),
    "from a spreadsheet": ("姓名\t手机号\t备注\n张伟\t138 0013 8000\tx", Entry("张伟", ("138 0013 8000",))),
    "Google": (
        "First Name,Last Name,Labels,E-mail 1 - Value,Phone 1 - Value\nLi,Lei,dba ::: On Call,l@example.com,13900139000",
        Entry("Li Lei", ("13900139000",), ("l@example.com",), (), ("dba", "On Call")),
    ),
    "Outlook": (
        '"First Name","Last Name","E-mail Address","Mobile Phone"\n"伟","张","z@example.com","13800138000"',
        Entry("张伟", ("13800138000",), ("z@example.com",)),
    ),
    "semicolons": ("name;mobile\nAnn;13800138000", Entry("Ann", ("13800138000",))),
    "several in a cell": (
        'name,email\nAnn,"a@example.com; b@example.com"',
        Entry("Ann", (), ("a@example.com", "b@example.com")),
    ),
}


@pytest.mark.parametrize(("table", "entry"), TABLES.values(), ids=TABLES)
def test_a_table_is_read_by_its_headings(table: str, entry: Entry) -> None:
    assert sheets.read(table) == [entry]


def test_a_table_without_a_column_of_names_is_none() -> None:
    assert sheets.read("Ann,13800138000") is None
    assert sheets.read("phone,email\n1,2") is None


@pytest.mark.parametrize("name", ["=1+1", "+A1", "-2", "=HYPERLINK(x)"])
def test_what_a_spreadsheet_would_calculate_is_written_as_text(name: str) -> None:
    line = sheets.written(Entry(name, ("+8613800138000",)))
    assert line.startswith(f"'{name}")
    assert ",'+8613800138000," in line
    assert sheets.read(f"{sheets.header('en')}\n{line}") == [Entry(name, ("+8613800138000",))]


NAMES = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20).filter(
    lambda name: name.strip("' ") == name
)
WORDS = st.text("abcß张", min_size=1, max_size=8)


@given(NAMES, st.lists(WORDS, max_size=2, unique=True))
def test_what_is_written_is_read_again(name: str, groups: list[str]) -> None:
    entry = Entry(name, ("+8613800138000",), ("a@example.com",), (), tuple(groups), "en", "Asia/Shanghai")
    assert vcards.read(vcards.written(entry)) == [entry]
    for language in ("en", "zh"):
        assert sheets.read(f"{sheets.header(language)}\n{sheets.written(entry)}") == [entry]


@given(st.text(max_size=200))
def test_any_text_is_read_without_a_crash(text: str) -> None:
    sheets.read(f"name,phone\n{text}")
    vcards.read(f"BEGIN:VCARD\n{text}\nEND:VCARD")
