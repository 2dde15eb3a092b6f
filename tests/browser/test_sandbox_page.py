"""The sandbox page in a real browser: live windows, each platform's drawing, and what a hostile alert cannot do."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from bot.sandbox.cast import GROUPS, PLAYERS
from tests.browser.conftest import Stage, Visitor

LIN, WANG = PLAYERS


def card(stage: Stage, platform: str, body: dict[str, Any]) -> None:
    stage.playground.world.happen("card", platform, GROUPS[platform], body)


def send(page: Page, text: str) -> None:
    page.fill("#text-dingtalk", text)
    page.press("#text-dingtalk", "Enter")


def test_what_is_typed_one_to_one_reaches_the_service_and_the_answer_appears(visitor: Visitor) -> None:
    visit = visitor.open()
    send(visit.page, "help me")
    expect(visit.page.locator("#log-dingtalk-direct .mine")).to_contain_text("help me")
    expect(visit.page.locator("#log-dingtalk-direct .robot h5")).to_have_text("echo")
    assert [(body["senderStaffId"], body["conversationType"]) for body in visit.stage.said] == [(LIN.id, "1")]
    expect(visit.page.locator("#text-dingtalk")).to_have_value("")


def test_in_the_group_the_bot_is_mentioned(visitor: Visitor) -> None:
    visit = visitor.open()
    visit.page.click("#w-dingtalk [data-value=group]")
    expect(visit.page.locator("#w-dingtalk .composer .mention")).to_be_visible()
    send(visit.page, "alerts")
    expect(visit.page.locator("#log-dingtalk-group .mine")).to_contain_text("@Callboard alerts")
    expect(visit.page.locator("#log-dingtalk-group .robot")).to_have_count(1)
    assert visit.stage.said[0]["conversationId"] == GROUPS["dingtalk"]
    assert visit.stage.said[0]["isInAtList"] is True


def test_another_person_has_a_chat_of_their_own(visitor: Visitor) -> None:
    visit = visitor.open()
    send(visit.page, "mine alone")
    expect(visit.page.locator("#log-dingtalk-direct .mine")).to_have_count(1)
    visit.page.click(f"#people [data-value={WANG.id}]")
    expect(visit.page.locator("#log-dingtalk-direct .message")).to_have_count(0)
    send(visit.page, "from Wang")
    expect(visit.page.locator("#log-dingtalk-direct .mine")).to_contain_text("from Wang")
    expect(visit.page.locator("#log-dingtalk-direct .robot")).to_have_count(1)
    assert [body["senderNick"] for body in visit.stage.said] == [LIN.also, WANG.also]


def test_arrow_up_brings_back_what_was_said(visitor: Visitor) -> None:
    page = visitor.open().page
    send(page, "first")
    send(page, "second")
    page.press("#text-dingtalk", "ArrowUp")
    page.press("#text-dingtalk", "ArrowUp")
    expect(page.locator("#text-dingtalk")).to_have_value("first")
    page.press("#text-dingtalk", "ArrowDown")
    expect(page.locator("#text-dingtalk")).to_have_value("second")


def test_two_pages_show_the_same_without_reload(visitor: Visitor) -> None:
    one, two = visitor.open(), visitor.open()
    send(one.page, "seen by both")
    expect(two.page.locator("#log-dingtalk-direct")).to_contain_text("seen by both")
    card(one.stage, "slack", {"text": "posted later"})
    expect(two.page.locator("#log-slack-group")).to_contain_text("posted later")


def test_a_page_that_is_opened_later_shows_the_past(visitor: Visitor, stage: Stage) -> None:
    card(stage, "wecom", {"msgtype": "text", "text": {"content": "before you came"}})
    expect(visitor.open().page.locator("#log-wecom-group")).to_contain_text("before you came")


COLOURED: tuple[tuple[str, dict[str, Any], list[tuple[str, str]], tuple[str, str, str, str]], ...] = (
    (
        "dingtalk",
        {
            "msgtype": "actionCard",
            "actionCard": {
                "title": "preview only",
                "text": "### DAS Alarm **disk** full\n\n- **Where**: db-1  \n  rack 4\n- since *noon*\n\n> quoted",
                "btnOrientation": "0",
                "btns": [{"title": "Runbook", "actionURL": "https://example.com/r"}],
            },
        },
        [("h5", "DAS Alarm disk full"), ("h5 strong", "disk"), ("li >> nth=0", "Where: db-1rack 4"), ("em", "noon")],
        ("a.button", "Runbook", "color", "rgb(11, 123, 255)"),
    ),
    (
        "wecom",
        {
            "msgtype": "markdown",
            "markdown": {
                "content": '### <font color="warning">[CRITICAL]</font> disk\n> host: `db-1`\n- no list *here*'
            },
        },
        [("h5", "[CRITICAL] disk"), ("blockquote code", "db-1"), (".line", "- no list *here*")],
        (".font-warning", "[CRITICAL]", "color", "rgb(209, 72, 10)"),
    ),
    (
        "lark",
        {
            "msg_type": "interactive",
            "card": {
                "header": {"template": "red", "title": {"tag": "plain_text", "content": "disk **full**"}},
                "elements": [
                    {
                        "tag": "div",
                        "fields": [{"is_short": True, "text": {"tag": "plain_text", "content": "Where: db"}}],
                    },
                    {"tag": "markdown", "content": "**bold** &#60;b&#62;"},
                    {"tag": "hr"},
                    {
                        "tag": "action",
                        "actions": [
                            {
                                "tag": "button",
                                "url": "https://example.com/",
                                "text": {"tag": "plain_text", "content": "Go"},
                            }
                        ],
                    },
                    {"tag": "note", "elements": [{"tag": "plain_text", "content": "small print"}]},
                ],
            },
        },
        [(".field.short", "Where: db"), ("strong", "bold"), (".line", "bold <b>"), (".note", "small print")],
        (".head", "disk **full**", "background-color", "rgb(253, 226, 226)"),
    ),
    (
        "slack",
        {
            "text": "fallback",
            "attachments": [
                {
                    "color": "#D0021B",
                    "blocks": [
                        {"type": "header", "text": {"type": "plain_text", "text": "disk *full*"}},
                        {"type": "section", "fields": [{"type": "plain_text", "text": "Where: db"}]},
                        {
                            "type": "section",
                            "text": {"type": "mrkdwn", "text": "*bold* &lt;b&gt; <https://a.example|link>"},
                        },
                        {"type": "context", "elements": [{"type": "plain_text", "text": "small print"}]},
                        {
                            "type": "actions",
                            "elements": [
                                {"type": "button", "text": {"type": "plain_text", "text": "Ack"}, "value": "1"}
                            ],
                        },
                    ],
                }
            ],
        },
        [
            (".header", "disk *full*"),
            (".field", "Where: db"),
            ("strong", "bold"),
            (".section >> nth=1", "bold <b> link"),
            (".context", "small print"),
            ("button:disabled", "Ack"),
        ],
        (".attachment", "disk *full*", "border-left-color", "rgb(208, 2, 27)"),
    ),
)


def test_a_card_is_drawn_as_its_client_draws_it(visitor: Visitor) -> None:
    visit = visitor.open()
    visit.page.click("#w-dingtalk [data-value=group]")
    for platform, body, parts, coloured in COLOURED:
        card(visit.stage, platform, body)
        log = visit.page.locator(f"#log-{platform}-group")
        for selector, text in parts:
            expect(log.locator(selector)).to_have_text(text)
        selector, text, name, value = coloured
        expect(log.locator(selector)).to_contain_text(text)
        expect(log.locator(selector)).to_have_css(name, value)


def test_a_button_of_a_card_opens_only_web_addresses_and_no_way_back(visitor: Visitor) -> None:
    visit = visitor.open()
    links = "[good](https://example.com/x) [bad](javascript:alert(1)) [worse](data:text/html,x) [file](file:///etc)"
    card(visit.stage, "wecom", {"msgtype": "markdown", "markdown": {"content": links}})
    anchors = visit.page.locator("#log-wecom-group .markdown a")
    expect(anchors).to_have_count(1)
    assert anchors.get_attribute("rel") == "noopener noreferrer"
    expect(visit.page.locator("#log-wecom-group .line")).to_contain_text("[bad](javascript:alert(1))")


HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><svg/onload=window.hacked=3>"
    '"><iframe srcdoc="<script>parent.hacked=4</script>"></iframe> [click](javascript:window.hacked=5) '
    "<a href='javascript:window.hacked=6'>x</a> <style>body{display:none}</style>"
)


def hostile_messages() -> list[tuple[str, dict[str, Any]]]:
    plain = {"tag": "plain_text", "content": HOSTILE}
    return [
        ("dingtalk", {"msgtype": "text", "text": {"content": HOSTILE}}),
        ("dingtalk", {"msgtype": "markdown", "markdown": {"title": HOSTILE, "text": f"### {HOSTILE}\n\n- {HOSTILE}"}}),
        (
            "dingtalk",
            {
                "msgtype": "actionCard",
                "actionCard": {
                    "title": "x",
                    "text": HOSTILE,
                    "singleTitle": HOSTILE,
                    "singleURL": "javascript:window.hacked=7",
                },
            },
        ),
        (
            "wecom",
            {"msgtype": "markdown", "markdown": {"content": f'<font color="info">{HOSTILE}</font>\n> {HOSTILE}'}},
        ),
        (
            "wecom",
            {
                "msgtype": "template_card",
                "template_card": {
                    "main_title": {"title": HOSTILE},
                    "card_action": {"type": 1, "url": "javascript:window.hacked=8"},
                    "jump_list": [{"type": 1, "title": HOSTILE, "url": "javascript:window.hacked=9"}],
                },
            },
        ),
        (
            "lark",
            {
                "msg_type": "interactive",
                "card": {
                    "header": {"template": HOSTILE, "title": plain},
                    "elements": [
                        {"tag": "markdown", "content": HOSTILE},
                        {"tag": "action", "actions": [{"tag": "button", "text": plain, "url": "javascript:hacked=1"}]},
                        {"tag": HOSTILE},
                    ],
                },
            },
        ),
        (
            "slack",
            {
                "text": f"<javascript:window.hacked=10|{HOSTILE}> {HOSTILE}",
                "attachments": [
                    {
                        "color": "red;} body {display:none",
                        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": HOSTILE}}, {"type": HOSTILE}],
                    }
                ],
            },
        ),
    ]


def test_a_hostile_alert_runs_nothing_and_becomes_no_element(visitor: Visitor) -> None:
    visit = visitor.open()
    world = visit.stage.playground.world
    visit.page.click("#w-dingtalk [data-value=group]")
    for platform, body in hostile_messages():
        card(visit.stage, platform, body)
    world.happen("typed", "dingtalk", GROUPS["dingtalk"], HOSTILE, person=LIN.id)
    world.happen("refused", "wecom", GROUPS["wecom"], None, note=HOSTILE)
    world.happen("sms", "sms", LIN.phone, {"text": HOSTILE, "sign": "", "params": {}})
    world.happen("mail", "mail", HOSTILE, {"from": HOSTILE, "subject": HOSTILE, "plain": HOSTILE, "html": ""})
    expect(visit.page.locator("#log-mail .message")).to_have_count(1)
    expect(visit.page.locator("#log-dingtalk-group .message")).to_have_count(4)
    windows = visit.page.locator("main")
    for selector in ("script", "img", "svg", "iframe", "style", "a[href^='javascript:' i]", "[onerror]", "[onload]"):
        expect(windows.locator(selector)).to_have_count(0)
    expect(visit.page.locator("body")).to_be_visible()
    for name in ("dingtalk-group", "wecom-group", "lark-group", "slack-group", "phone"):
        expect(visit.page.locator(f"#log-{name}")).to_contain_text("<script>window.hacked = 1</script>")
    assert visit.page.evaluate("window.hacked") is None


def test_the_html_of_a_mail_is_shown_in_a_frame_that_can_do_nothing(visitor: Visitor) -> None:
    visit = visitor.open()
    html = "<h1 style='color:#b42318'>Disk full</h1><p id=p>text</p>"
    body = {"from": "Callboard <a@example.com>", "subject": "disk", "plain": "the plain text", "html": html}
    visit.stage.playground.world.happen("mail", "mail", LIN.mailbox, body)
    visit.page.click("#log-mail summary")
    frame = visit.page.frame_locator("#log-mail iframe")
    expect(frame.locator("h1")).to_have_css("color", "rgb(180, 35, 24)")
    assert visit.page.locator("#log-mail iframe").get_attribute("sandbox") == ""
    visit.page.click("#log-mail .switch [data-value=plain]")
    expect(visit.page.locator("#log-mail pre")).to_have_text("the plain text")
    expect(visit.page.locator("#log-mail iframe")).to_be_hidden()


def test_a_script_in_a_mail_does_not_run(visitor: Visitor) -> None:
    visit = visitor.open()
    html = "<p>before</p><script>document.body.textContent='hacked';top.hacked=1</script><img src=x onerror='top.hacked=2'>"
    body = {"from": "a@example.com", "subject": "disk", "plain": "", "html": html}
    visit.stage.playground.world.happen("mail", "mail", LIN.mailbox, body)
    visit.page.click("#log-mail summary")
    expect(visit.page.frame_locator("#log-mail iframe").locator("p")).to_have_text("before")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.troubles, "the browser says that it blocked them"
    visit.troubles.clear()


def test_text_messages_name_whom_they_are_for(visitor: Visitor) -> None:
    visit = visitor.open()
    body = {"text": "【Callboard】您的验证码为123456", "sign": "Callboard", "params": {"code": "123456"}}
    visit.stage.playground.world.happen("sms", "sms", LIN.phone, body)
    visit.stage.playground.world.happen("sms", "sms", "+8613712345678", body)
    visit.stage.playground.world.happen("call", "sms", LIN.phone, {"text": "critical", "answered": True})
    expect(visit.page.locator("#log-phone .by b")).to_have_text(
        [f"to Lin {LIN.name} · {LIN.phone}", "to +8613712345678", f"call to Lin {LIN.name} · {LIN.phone}"]
    )


def test_refusals_are_one_line_that_counts(visitor: Visitor) -> None:
    visit = visitor.open()
    for _ in range(3):
        visit.stage.playground.world.happen("refused", "lark", GROUPS["lark"], {"x": 1}, note="11232")
    line = visit.page.locator("#log-lark-group .system")
    expect(line).to_have_text("Lark refused a message: too many messages (11232) × 3")
    expect(line).to_have_count(1)


def test_sample_alerts_ask_for_a_source_first_and_then_go_to_the_newest(visitor: Visitor) -> None:
    visit = visitor.open()
    visit.page.click("[data-sample=critical]")
    visit.page.click("#sample-note .chip")
    expect(visit.page.locator("#text-dingtalk")).to_have_value("source add demo alertmanager to dba")
    assert visit.stage.alerts == []
    told = {"msgtype": "markdown", "markdown": {"title": "x", "text": "> http://h/alerts/alertmanager/tok_en-1"}}
    visit.stage.playground.world.happen("say", "dingtalk", LIN.on("dingtalk").chat, told, person=LIN.id)
    expect(visit.page.locator("#sample-note .chip")).to_have_count(0)
    visit.page.click("[data-sample=storm]")
    expect(visit.page.locator("#sample-note")).to_contain_text("200")
    assert [(post["token"], len(post["alerts"])) for post in visit.stage.alerts] == [("tok_en-1", 30)]


def test_the_tour_fills_in_commands_and_ticks_off_what_was_done(visitor: Visitor) -> None:
    page = visitor.open().page
    page.click("#step .chip")
    expect(page.locator("#text-dingtalk")).to_have_value("me 13800138000")
    page.press("#text-dingtalk", "Enter")
    expect(page.locator("#steps .done")).to_have_count(1)
    expect(page.locator("#steps [aria-current]")).to_contain_text("Code")
    expect(page.locator("#step .chip")).to_have_count(0)


def test_the_number_to_acknowledge_is_that_of_the_newest_card(visitor: Visitor) -> None:
    visit = visitor.open()
    visit.page.click("#steps li >> nth=7")
    expect(visit.page.locator("#step .chip")).to_have_text("ack 1")
    card(visit.stage, "lark", {"msg_type": "text", "content": {"text": "[CRITICAL] #42 disk full"}})
    expect(visit.page.locator("#step .chip")).to_have_text("ack 42")
    coloured = {"color": "#8D8D8E", "fallback": "Verification code"}
    card(visit.stage, "slack", {"text": "Verification code", "attachments": [coloured]})
    expect(visit.page.locator("#log-slack-group .attachment")).to_have_count(1)
    visit.page.click("#steps li >> nth=6")
    visit.page.click("#steps li >> nth=7")
    expect(visit.page.locator("#step .chip")).to_have_text("ack 42")


def test_the_webhook_of_a_group_can_be_copied(visitor: Visitor) -> None:
    visit = visitor.open(permissions=["clipboard-read", "clipboard-write"])
    visit.page.click("#w-lark .copy")
    expect(visit.page.locator("#w-lark .copy")).to_contain_text("Copied")
    playground = visit.stage.playground
    assert visit.page.evaluate("navigator.clipboard.readText()") == (
        f"{playground.webhook_urls['lark']} secret {playground.robot_secrets['lark']}"
    )


def test_both_languages_say_everything(visitor: Visitor) -> None:
    page = visitor.open(locale="zh-CN").page
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#t-wecom")).to_contain_text("企业微信")
    page.click("#language")
    expect(page.locator("#t-wecom")).to_contain_text("WeCom")
    names = page.evaluate(
        """async () => { const { tables } = await import("/sandbox/static/words.js");
        const names = (t) => [...Object.keys(t), ...Object.keys(t.reasons), `steps ${t.steps.map((s) => s.length)}`];
        return [names(tables.en).sort(), names(tables.zh).sort()]; }"""
    )
    assert names[0] == names[1]
    page.reload()
    expect(page.locator("#t-wecom")).to_contain_text("WeCom")


SCREENS = ((1280, 800), (900, 800), (390, 844), (320, 640))


def test_nothing_is_wider_than_the_screen(visitor: Visitor) -> None:
    visit = visitor.open()
    long = "x" * 300
    for platform, body, *_ in COLOURED:
        card(visit.stage, platform, body)
    card(visit.stage, "wecom", {"msgtype": "text", "text": {"content": long}})
    send(visit.page, long)
    expect(visit.page.locator("#log-dingtalk-direct .robot")).to_have_count(1)
    for width, height in SCREENS:
        visit.page.set_viewport_size({"width": width, "height": height})
        for step in range(8):
            visit.page.click(f"#steps li >> nth={step}")
            wide = visit.page.evaluate(
                "[document.documentElement, ...document.querySelectorAll('.strip, .tour, .samples, .window, .log')]"
                ".filter((n) => n.scrollWidth > n.clientWidth + 1).map((n) => n.id || n.className || n.tagName)"
            )
            assert wide == [], f"step {step + 1} on {width} x {height}"


def test_on_a_phone_one_window_is_shown_at_a_time_and_news_are_marked(visitor: Visitor) -> None:
    visit = visitor.open(viewport={"width": 390, "height": 844})
    expect(visit.page.locator(".window:visible")).to_have_count(1)
    card(visit.stage, "slack", {"text": "news"})
    tab = visit.page.locator("#tabs [data-window=slack]")
    expect(tab.locator(".dot")).to_have_count(1)
    tab.click()
    expect(visit.page.locator("#log-slack-group")).to_contain_text("news")
    expect(tab.locator(".dot")).to_have_count(0)
    expect(visit.page.locator("#w-dingtalk")).to_be_hidden()


def test_dark_mode_follows_the_system(visitor: Visitor) -> None:
    dark, light = visitor.open(color_scheme="dark"), visitor.open(color_scheme="light")
    colours = [visit.page.evaluate("getComputedStyle(document.body).backgroundColor") for visit in (dark, light)]
    assert colours == ["rgb(16, 20, 27)", "rgb(238, 241, 246)"]


def test_a_platform_that_is_real_says_so_and_takes_no_typing(visitor: Visitor, stage: Stage) -> None:
    stage.playground.replaced = frozenset({"wecom", "lark", "slack", "mail", "alibaba"})
    page = visitor.open().page
    expect(page.locator("#w-dingtalk .real")).to_have_text(re.compile("real DingTalk"))
    expect(page.locator("#text-dingtalk")).to_be_disabled()
    expect(page.locator("#w-slack .real")).to_be_hidden()


def test_a_service_that_was_started_anew_is_followed_without_reload(visitor: Visitor) -> None:
    visit = visitor.open()
    visit.page.route("**/sandbox/events*", lambda route: route.abort())
    expect(visit.page.locator("#live")).to_have_class(re.compile("off"))
    visit.page.unroute("**/sandbox/events*")
    send(visit.page, "back again")
    expect(visit.page.locator("#log-dingtalk-direct .robot")).to_have_count(1)
    expect(visit.page.locator("#live")).not_to_have_class(re.compile("off"))
    visit.troubles.clear()  # the browser reports the requests that were cut
