"""Templates in chat, told as conversations."""

from __future__ import annotations

import re

import pytest

from handlers.alerts import accept
from handlers.model import Alert
from storage import sources, templates
from storage.database import Database
from tests.handlers.commands.talk import MEMBER, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]

LOOP = "{% for k, v in labels.items() %}\n{{ k }} is {{ v }}\n{% endfor %}"


@pytest.fixture
def source(database: Database) -> int:
    with database.write() as tx:
        return seed.source(tx, seed.group(tx, "dba"), name="Prod CPU").id


def reported(database: Database, source: int, title: str, **labels: str) -> None:
    with database.write() as tx:
        row = sources.by_id(tx, source)
        assert row is not None
        accept(tx, row, [Alert(title, title, labels=labels)], NOW, seed.LEASE)


def test_a_template_from_its_first_word_to_its_last(database: Database, source: int) -> None:
    assert "has no templates" in said(database, "template show Prod CPU")
    made_up = said(database, "template set Prod CPU title {{ labels.instance }}: {{ title }}")
    assert "[CRITICAL] db-7: CPU usage of db-7 is high" in made_up
    assert "this alert is made up" in made_up
    reported(database, source, "disk full", instance="db-1", zone="b")
    answer = said(database, f"template set 'Prod CPU' text\n{LOOP}")
    assert "[WARNING] #1 db-1: disk full" in answer
    assert "instance is db-1\nzone is b" in answer
    assert "Severity: warning" in answer
    shown = said(database, "template show Prod CPU")
    assert "title: {{ labels.instance }}: {{ title }}" in shown
    assert "{{ k }} is {{ v }}" in shown
    reported(database, source, "load high", instance="db-2")
    assert "db-2: load high" in said(database, "template preview Prod CPU"), "the newest"
    assert "db-1: disk full" in said(database, "template preview Prod CPU #1")
    assert "standard ones" in said(database, "template clear Prod CPU title")
    assert "instance is db-2" in said(database, "template preview Prod CPU")
    assert "standard ones" in said(database, "template clear Prod CPU")
    assert "no such template" in said(database, "template clear Prod CPU")
    audit = said(database, "audit")
    assert "template set" in audit
    assert "template clear" in audit


def test_the_same_in_chinese(database: Database, source: int) -> None:
    answer = said(database, "设置模板 Prod CPU 标题 {{ labels.instance }}：{{ title }}", language="zh")
    assert "db-7：CPU usage of db-7 is high" in answer
    assert "{{ labels.instance }}：" in said(database, "查看模板 Prod CPU", language="zh")
    assert "db-7：CPU" in said(database, "预览模板 Prod CPU", language="zh")
    assert "盘满" in said(database, "设置模板 Prod CPU 文本 盘满", language="zh")
    said(database, "清除模板 Prod CPU 标题", language="zh")
    assert "db-7：CPU" not in said(database, "预览模板 Prod CPU", language="zh")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ title * 9 }}", "这里不能使用“*”"),
        ("{% set x = 1 %}", "这里不能使用“set”"),
        ("{{ title | pprint }}", "没有过滤器“pprint”；可用的有"),
        ("{{ title", "第 1 行：有未闭合的部分"),
        ("{{ }}", "第 1 行：“}}”前面缺少内容"),
        ("{% if title %}", "第 1 行：有未闭合的部分"),
        ("{% nothing %}", "第 1 行：没有标签“nothing”"),
        ("{{ title ) }}", "第 1 行"),
        ("{{ title.1a }}", "第 1 行"),
        ("{{ ? }}", "第 1 行：“?”不应出现在这里"),
        ("{{ 1 is in in 2 }}", "第 1 行"),
        ("{{ title < 1 }}", "其中有对这些值无法进行的操作"),
        ("{% for a in title %}{% for b in title %}{% endfor %}{% endfor %}", "循环总次数超过 500 次"),
    ],
)
def test_what_is_wrong_is_told_in_chinese(database: Database, source: int, template: str, why: str) -> None:
    answer = said(database, f"设置模板 Prod CPU 正文 {template}", language="zh")
    assert answer.startswith("这个模板无法使用：")
    assert why in answer
    words = answer.removeprefix("这个模板无法使用：").replace(template, "")
    assert not re.search(r"unexpected|expected|not |[a-z]+ [a-z]+ [a-z]+", words.partition("；可用")[0]), answer


def test_what_is_wrong_is_named_and_nothing_is_kept(database: Database, source: int) -> None:
    reported(database, source, "disk full")
    for text, named in (
        ("template set Prod CPU title {{ title * 9 }}", "“*” is not possible here"),
        ("template set Prod CPU title {{ title", "does not work"),
        ("template set Prod CPU colour red", "Prod CPU"),
        ("template set Prod CPU title", "template set prometheus title"),
        ("template set", "template set prometheus title"),
        ("template set Prod title x", "Did you mean “Prod CPU”?"),
        ("template preview Prod CPU #999999", "#999999"),
        ("template preview", "template preview prometheus"),
    ):
        assert named in said(database, text), text
    assert "Only an admin" in said(database, "template set Prod CPU title x", person=MEMBER)
    assert "Only an admin" in said(database, "template clear Prod CPU", person=MEMBER)
    with database.read() as tx:
        assert templates.of_source(tx, source) == []


def test_a_template_that_failed_says_so_until_it_is_set_anew(database: Database, source: int) -> None:
    said(database, "template set Prod CPU title x")
    with database.write() as tx:
        [row] = templates.of_source(tx, source)
        templates.failed(tx, row, "division by zero", NOW)
    assert "could not be filled in at 2026-03-02 17:00 (UTC+8)" in said(database, "template show Prod CPU")
    said(database, "template set Prod CPU title y", now=NOW + seed.LEASE)
    assert "could not" not in said(database, "template show Prod CPU")
