"""People who talk, press and fill in forms in the windows of the page, answered by the real service."""

from __future__ import annotations

import re
from itertools import product

import pytest
from playwright.sync_api import Locator, Page, expect

from bot.sandbox.cast import GROUPS, PLAYERS
from tests.browser.conftest import Visitor

LIN, WANG = PLAYERS
PLATFORMS = tuple(GROUPS)


def go(page: Page, platform: str, place: str) -> Locator:
    """Turns to that conversation; its log."""
    page.click(f"#w-{platform} .places [data-value={place}]")
    return page.locator(f"#log-{platform}-{place}")


def send(page: Page, platform: str, text: str) -> None:
    page.fill(f"#text-{platform}", text)
    page.press(f"#text-{platform}", "Enter")


def ask(page: Page, log: Locator, platform: str, text: str, answered: str) -> Locator:
    """Types, and waits for the answer with those words; it."""
    send(page, platform, text)
    found = log.locator(".robot", has_text=answered).last
    expect(found).to_be_visible()
    return found


def test_every_window_talks_in_its_group_and_one_to_one(guest: Visitor) -> None:
    page = guest.open().page
    for platform, place in product(PLATFORMS, ("direct", "group")):
        log = go(page, platform, place)
        ask(page, log, platform, "group list", "There are no groups yet")
        expect(log.locator(".mine")).to_have_text(re.compile("group list"))
        expect(log.locator(".mine .mention")).to_have_count(1 if place == "group" else 0)
    expect(page.locator("main .system")).to_have_count(0)


def test_a_slash_command_and_its_answer_are_seen_by_one_person_only(guest: Visitor) -> None:
    page = guest.open().page
    log = go(page, "slack", "group")
    answer = ask(page, log, "slack", "/callboard group list", "There are no groups yet")
    expect(answer.locator(".whisper")).to_have_text("Only visible to you")
    page.click(f"#people [data-value={WANG.id}]")
    expect(log.locator(".message")).to_have_count(0)


def test_yes_on_a_card_is_pressed_and_the_card_changes_in_its_place(guest: Visitor) -> None:
    page = guest.open().page
    for platform in PLATFORMS:
        log = go(page, platform, "direct")
        ask(page, log, platform, f"group create {platform}-dba", f"{platform}-dba")
        ask(page, log, platform, f"group delete {platform}-dba", "yes or no")
        messages = log.locator(".robot").count()
        log.locator(".button", has_text="Yes").click()
        expect(log.locator(".button", has_text="Yes")).to_have_count(0)
        expect(log.locator(".robot").last).to_contain_text("deleted")
        expect(log.locator(".robot")).to_have_count(messages)
    expect(page.locator("main .system")).to_have_count(0)


def test_a_card_in_a_group_changes_for_everybody_and_another_person_cannot_press_it(guest: Visitor) -> None:
    one, two = guest.open().page, guest.open().page
    two.click(f"#people [data-value={WANG.id}]")
    log, other = go(one, "lark", "group"), go(two, "lark", "group")
    ask(one, log, "lark", "group create dba", "dba")
    ask(one, log, "lark", "group delete dba", "yes or no")
    other.locator(".button", has_text="Yes").click()
    expect(two.locator("#w-lark .toast")).to_be_visible()
    expect(one.locator("#w-lark .toast")).to_be_hidden()
    log.locator(".button", has_text="Yes").click()
    expect(other).to_contain_text("deleted")
    expect(other.locator(".button", has_text="Yes")).to_have_count(0)


def test_a_slack_form_says_what_is_wrong_and_keeps_what_was_typed(guest: Visitor) -> None:
    page = guest.open().page
    log = go(page, "slack", "direct")
    send(page, "slack", "/callboard contact add")
    form = page.locator("#w-slack .modal")
    name, phone = form.locator("[data-field=name] input"), form.locator("[data-field=phone] input")
    expect(name).to_be_focused()
    name.fill("Zhao Min")
    phone.fill("12")
    form.locator(".primary").click()
    wrong = form.locator("[data-field=phone] .wrong")
    expect(wrong).to_be_visible()
    expect(phone).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("Zhao Min")
    phone.fill("13700137000")
    form.locator(".primary").click()
    expect(form).to_have_count(0)
    expect(log.locator(".robot").last).to_contain_text("Zhao Min")
    expect(page.locator("#log-phone .message")).to_have_count(1)


def test_a_slack_form_is_closed_by_escape_and_by_its_button(guest: Visitor) -> None:
    page = guest.open().page
    go(page, "slack", "direct")
    form = page.locator("#w-slack .modal")
    for key in ("Escape", ""):
        send(page, "slack", "/callboard group create")
        expect(form).to_be_visible()
        if key:
            page.keyboard.press(key)
        else:
            form.locator(".away").click()
        expect(form).to_have_count(0)
        expect(page.locator("#text-slack")).to_be_focused()


def test_a_form_in_a_lark_card_is_filled_in_and_its_card_changes(guest: Visitor) -> None:
    page = guest.open().page
    log = go(page, "lark", "direct")
    ask(page, log, "lark", "group create dba", "dba")
    send(page, "lark", "contact add")
    form = log.locator("form")
    form.locator("[data-field=name] input").fill("Zhao Min")
    form.locator("[data-field=phone] input").fill("12")
    form.locator(".choice").click()
    form.locator("button").click()
    expect(page.locator("#w-lark .toast.error")).to_be_visible()
    form.locator("[data-field=phone] input").fill("13700137000")
    form.locator("button").click()
    expect(form).to_have_count(0)
    expect(log).to_contain_text("Zhao Min")
    expect(page.locator("#log-phone .message")).to_have_count(1)
    ask(page, log, "lark", "group show dba", "Zhao Min")


def test_the_home_page_in_slack_opens_forms(guest: Visitor) -> None:
    page = guest.open().page
    home = go(page, "slack", "home")
    expect(page.locator("#w-slack .composer")).to_be_hidden()
    home.locator(".button", has_text="Create a group").click()
    expect(page.locator("#w-slack .modal [data-field=name] input")).to_be_focused()


def test_a_press_that_comes_too_late_is_told(guest: Visitor) -> None:
    page = guest.open().page
    log = go(page, "lark", "direct")
    ask(page, log, "lark", "group create dba", "dba")
    ask(page, log, "lark", "group delete dba", "yes or no")
    ask(page, log, "lark", "no", "nothing")
    log.locator(".button", has_text="Yes").click()
    expect(page.locator("#w-lark .toast")).to_be_visible()
    ask(page, log, "lark", "group list", "dba")


def test_a_link_on_an_alert_card_opens_the_page_that_asks_again(guest: Visitor) -> None:
    visit = guest.open()
    page, playground = visit.page, visit.stage.playground
    log = go(page, "dingtalk", "group")
    go(page, "dingtalk", "direct")
    chat = page.locator("#log-dingtalk-direct")
    ask(page, chat, "dingtalk", "group create dba", "dba")
    url, secret = playground.webhook_urls["dingtalk"], playground.robot_secrets["dingtalk"]
    send(page, "dingtalk", f"contact add room {url} secret {secret} to dba")
    expect(log.locator(".robot")).to_have_count(1)
    code = re.search(r"(?<!\d)\d{6}(?!\d)", log.locator(".robot").text_content() or "")
    assert code
    ask(page, chat, "dingtalk", code[0], "room")
    ask(page, chat, "dingtalk", "source add demo alertmanager to dba", "/alerts/alertmanager/")
    page.click("[data-sample=critical]")
    go(page, "dingtalk", "group")
    link = log.locator("a.button", has_text="Acknowledge")
    with page.context.expect_page() as opened:
        link.click()
    asking = opened.value
    expect(asking.locator("body")).to_contain_text("ack #1")
    asking.locator("button").click()
    expect(asking.locator("body")).to_contain_text("#1")
    asking.close()
    go(page, "dingtalk", "direct")
    ask(page, chat, "dingtalk", "alert 1", "room")


def test_a_window_can_be_made_the_big_one(guest: Visitor) -> None:
    page = guest.open(viewport={"width": 1400, "height": 900}).page
    widths = "[...document.querySelectorAll('.chat')].map((box) => box.offsetWidth)"
    before = page.evaluate(widths)
    assert before[0] > max(before[1:])
    page.click("#w-slack .enlarge")
    after = page.evaluate(widths)
    assert after[3] > max(after[:3])
    expect(page.locator("#w-slack .enlarge")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_in_the_head_of_a_window_overlaps(guest: Visitor, width: int) -> None:
    page = guest.open(viewport={"width": width, "height": 800}).page
    for platform in PLATFORMS:
        if width < 720:
            page.click(f"#tabs [data-window={platform}]")
        boxes = page.evaluate(
            f"[...document.querySelectorAll('#w-{platform} > header > *')].filter((n) => n.offsetWidth)"
            ".map((n) => n.getBoundingClientRect()).map((r) => [r.left, r.top, r.right, r.bottom])"
        )
        assert boxes, platform
        for at, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= width, platform
            for other in boxes[at + 1 :]:
                apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
                assert apart, (platform, boxes[at], other)
