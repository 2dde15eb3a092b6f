"""The texts people read: complete in both languages, and the commands in them work."""

from __future__ import annotations

import ast
import inspect
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from handlers import examples
from handlers.commands import FORMS
from handlers.commands.parser import parse
from handlers.document import Document, Examples, Facts, Paragraph, from_json, localize, to_json
from handlers.errors import CommandError
from handlers.texts import LANGUAGES, Both, Language, Say, Text, _, n_, render
from handlers.texts import from_json as text_from_json
from handlers.texts import to_json as text_to_json
from tests.texts import ROOMS, ROOT, messages, translations

NAMES_OF_PRODUCTS = {"Slack webhook"}
"""Messages that have no Chinese words."""

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_HALF_WIDTH = re.compile(r"[\u4e00-\u9fff”}][,;:!?]|[\u4e00-\u9fff”][.]|[()\"]")
_QUOTED = re.compile("“([^“”]*)”")
_SIX_DIGITS = re.compile(r"\d{6}")


@cache
def chinese() -> dict[str, str]:
    return translations()


def fields(message: str) -> set[str]:
    """Names of the placeholders of a message."""
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(message) if name is not None}


def command(text: str) -> str | None:
    """The form of a text that is a command from its first word on."""
    try:
        return parse(text, FORMS).form
    except CommandError:
        return None


def test_every_message_has_a_translation_and_every_translation_a_message() -> None:
    code, catalogue = set(messages()), {english for english, text in chinese().items() if text}
    assert sorted(code - catalogue) == [], "run `make texts` and translate these in handlers/locale/zh.po"
    assert sorted(set(chinese()) - code) == [], "nobody says these any more: run `make texts`"


def test_a_translation_is_chinese_with_the_same_placeholders() -> None:
    wrong = {}
    for english, text in chinese().items():
        words = re.sub(r"\{\w*\}", "", english)
        if fields(text) != fields(english):
            wrong[english] = f"other placeholders: {text}"
        elif re.search("[A-Za-z]", words) and not _CHINESE.search(text) and english not in NAMES_OF_PRODUCTS:
            wrong[english] = f"no Chinese: {text}"
        elif text != text.strip():
            wrong[english] = f"blanks around it: {text}"
    assert wrong == {}


def test_chinese_punctuation_is_full_width() -> None:
    assert {text for text in chinese().values() if _HALF_WIDTH.search(text)} == set()


@pytest.mark.parametrize("bad", ["没有。(错)", "没有.", "没有,错", "“甲”: 乙", "{name}: 乙", '没有"甲"'])
def test_the_rule_for_punctuation_finds(bad: str) -> None:
    assert _HALF_WIDTH.search(bad)


def test_every_message_renders_in_both_languages_with_values() -> None:
    for message in messages().values():
        names = fields(message.english) | fields(message.plural or "")
        for n in (1, 2):
            values = {name: f"<{name}>" for name in names} | ({"n": n} if message.plural else {})
            for language in LANGUAGES:
                shown = render(Text(message.english, values, message.plural), language)
                assert not re.search(r"[{}]", shown), message.english
                assert all(str(value) in shown for name, value in values.items() if name != "n"), message.english


def test_a_plural_differs_from_its_singular_only_in_words() -> None:
    for message in messages().values():
        if message.plural:
            assert fields(message.english) == fields(message.plural)
            assert message.english != message.plural


def calls() -> Iterator[tuple[Path, ast.Call, str, bool]]:
    """Every call of `_` and `n_`: file, call, the message, and whether it stands in a `Refusal`, which gets values later."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        later = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refusal", "dead", "temporary")
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "n_"):
                assert isinstance(node.args[0], ast.Constant), f"{path}:{node.lineno}: a message must be written out"
                yield path, node, str(node.args[0].value), id(node) in later


def test_every_value_that_is_given_is_used_and_every_placeholder_gets_one() -> None:
    wrong = []
    for path, call, message, later in calls():
        assert isinstance(call.func, ast.Name)
        given = {keyword.arg or "**" for keyword in call.keywords}
        wanted = fields(message)
        if call.func.id == "n_":
            assert isinstance(call.args[1], ast.Constant)
            wanted = (wanted | fields(str(call.args[1].value))) - {"n"}  # it may choose the form and stay unsaid
        if given != wanted and not (later and not given):  # `Refusal.error` gives the values
            wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}: {sorted(given ^ wanted)}")
    assert wrong == []


def test_a_command_quoted_in_a_text_is_the_same_one_in_chinese() -> None:
    wrong = {}
    for english, text in chinese().items():
        en = [command(quote) for quote in _QUOTED.findall(english) if "{" not in quote]
        zh = [command(quote) for quote in _QUOTED.findall(text) if "{" not in quote]
        said = [quote for quote in _QUOTED.findall(text) if command(quote) and not _CHINESE.search(quote)]
        if [form for form in en if form] != [form for form in zh if form and form in en] or said:
            wrong[english] = text
    assert wrong == {}


def test_no_message_has_six_digits_that_could_be_taken_for_a_code() -> None:
    assert [text for pair in chinese().items() for text in pair if _SIX_DIGITS.search(text)] == []


NAMES = {
    "name": ("Zhang Wei", "张伟", "Li, Wei", "值班: 一线", "7 Team", '"Q" team', "db-1.example", "13800138000"),
    "group": ("dba", "值班 一线", ""),
    "field": ("name", "phone", "email", "webhook", "secret"),
    "number": (42,),
    "code": ("abcdefghjk",),
    "person": ("dingtalk:dingcorp01/0147123",),
    "value": ("+8613800138000", "a@example.com"),
}
VERBS = {
    "SILENCE_ALERT": "silence",
    "SILENCES": "silence list",
    "SYNC": "sync cloudmonitor",
    "SYNC_DAS": "sync das",
    "PREVIEW_MAPPING": "source map",
    "HELP_CONTACTS": "help",
    "ADD_CONTACT_TO": "contact add",
    "ME_EMAIL": "me",
    "ME_NAMED": "me",
    "ME_FIELD": "me",
    "CREATE_GROUP": "group create",
    "CREATE_GROUP_OF": "group create",
    "CREATE_GROUP_FULL": "group create",
    "ADD_TO_GROUP": "group add",
    "ADD_MEMBERS": "group add",
    "TAKE_FROM_GROUP": "group remove",
    "GIVE_CONTACT": "contact edit",
    "REPLACE_ADDRESS": "contact edit",
    "SET_SECRET": "contact edit",
    "LINK_CONTACT": "contact edit",
    "NOTE_ALERT": "note",
    "ENTER_CODE": "code",
    "OPEN_ADD_CONTACT": "contact add",
    "OPEN_CREATE_GROUP": "group create",
    "OPEN_EDIT_CONTACT": "contact edit",
    "OPEN_EDIT_GROUP": "group edit",
    "ADD_ROBOT": "contact add",
    "EMPTY_NOTE": "group note",
    "LINK_WITH": "link",
    "UNLINK": "unlink",
}
"""Examples whose names are not verb and noun of their form."""


def form_of(name: str) -> str:
    """The form that an example is for: `EDIT_CONTACT` is `contact edit`."""
    return VERBS.get(name.upper()) or " ".join(reversed(name.lower().split("_")))


def all_examples() -> Iterator[tuple[str, Both, str]]:
    """Name, example and the name of a contact or group that was put into it ("" where it has none)."""
    for name, thing in vars(examples).items():
        if isinstance(thing, Both):
            yield name, thing, ""
        elif inspect.isfunction(thing) and thing.__module__ == examples.__name__ and name != "quoted":
            parameters = list(inspect.signature(thing).parameters)
            for value in NAMES[parameters[0]]:
                others = NAMES[parameters[1]] if len(parameters) > 1 else ("",)
                for other in others if name != "replace_address" else others[1:4]:
                    arguments = (value, other)[: len(parameters)]
                    yield name, thing(*arguments), str(value) if parameters[0] in ("name", "group") else ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_leads_to_its_command_in_its_language(language: Language) -> None:
    for name, example, put_in in all_examples():
        typed = render(example, language)
        request = parse(typed, FORMS)
        assert (request.form, request.language) == (form_of(name), language), typed
        said = (*request.names, *request.words, *request.keys.values(), request.rest)
        # `组添加 值班 一线 张伟`: the group's name ends where the database says that it does.
        read = any(one == put_in or one.startswith((f"{put_in} ", f"{examples.quoted(put_in)} ")) for one in said)
        assert not put_in or read, f"{typed}: the name is not read again: {said}"


def test_an_example_carries_the_same_values_in_both_languages() -> None:
    for _name, example, _put_in in all_examples():
        en, zh = (parse(render(example, language), FORMS) for language in LANGUAGES)
        assert (en.phones and len(en.phones), en.emails, en.urls, en.codes, en.numbers, en.mentions) == (
            zh.phones and len(zh.phones),
            zh.emails,
            zh.urls,
            zh.codes,
            zh.numbers,
            zh.mentions,
        )
        assert set(en.keys) == set(zh.keys)
        assert len(en.names) == len(zh.names)


def test_commands_to_copy_stand_in_one_place_in_both_languages() -> None:
    elsewhere = []
    for path in sorted((ROOT / "handlers").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or path.name in ("examples.py", "texts.py"):
                continue
            name = getattr(node.func, "id", "")
            values = [word.value for word in node.keywords if word.arg == "example"]
            values += [item for one in node.args if name == "Examples" for item in getattr(one, "elts", [])]
            bad = [value for value in values if isinstance(value, ast.JoinedStr | ast.Constant) and _is_command(value)]
            if bad or (name == "Both"):
                elsewhere.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert elsewhere == []


def _is_command(value: ast.JoinedStr | ast.Constant) -> bool:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
    return command(text) is not None


SAYINGS: dict[str, tuple[Say, str, str | None]] = {
    "words": ("dba", "dba", "dba"),
    "a text": (_("Add one:"), "Add one:", "请添加："),
    "one": (n_("{n} contact", "{n} contacts", 1), "1 contact", "1 个联系人"),
    "several": (n_("{n} contact", "{n} contacts", 2), "2 contacts", "2 个联系人"),
    "both": (Both("verify Ann", "验证 Ann"), "verify Ann", "验证 Ann"),
    "a command in a text": (
        _("A code is not sent again; ask for a new one: {example}", example=Both("verify Ann", "验证 Ann")),
        "A code is not sent again; ask for a new one: verify Ann",
        "验证码不能重发，请重新获取：验证 Ann",
    ),
    "a text in a text": (
        _("{address} ({state})", address="a@example.com", state=_("not verified yet")),
        "a@example.com (not verified yet)",
        "a@example.com（待验证）",
    ),
    "not in the catalogue": (
        Text("Nobody translated {this}.", {"this": "it"}),
        "Nobody translated it.",
        "Nobody translated it.",
    ),
    "braces in a value": (_("Note of “{group}”: {note}", group="{note}", note="{0}"), "Note of “{note}”: {0}", None),
}


@pytest.mark.parametrize("name", SAYINGS)
def test_what_is_said_in_each_language(name: str) -> None:
    say, english, zh = SAYINGS[name]
    assert render(say, "en") == english == str(say)
    if zh is not None:
        assert render(say, "zh") == zh
    kept = text_from_json(text_to_json(say))
    assert [render(kept, language) for language in LANGUAGES] == [render(say, language) for language in LANGUAGES]


def test_a_document_is_localized_to_its_last_command() -> None:
    document = Document(
        _("There are no contacts yet."),
        (Paragraph(_("Add one:")), Examples((examples.ADD_CONTACT,)), Facts(((_("Groups"), _("none")),))),
    )
    localized = localize(document, "zh")
    assert localized == Document(
        "还没有联系人。",
        (Paragraph("请添加："), Examples(("添加联系人 张伟 13800138000",)), Facts((("联系组", "无"),))),
    )
    assert from_json(to_json(localized)) == localized
