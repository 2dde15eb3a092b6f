"""Webhook addresses as people paste them: accepted, or refused in one sentence."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.errors import CommandError
from handlers.webhooks import VENDORS, Origin, channel_of, masked, open_origin

T = "s3cr3tt0ken"
EXTRA = ("robots.example", "robots.example:8443", "http://127.0.0.1:8081", "http://[::1]:81")

ACCEPTED = [
    ("dingtalk", f"https://oapi.dingtalk.com/robot/send?access_token={T}", None),
    (
        "dingtalk",
        f"https://oapi.dingtalk.com/robot/send?timestamp=1&access_token={T}&sign=a%2B",
        f"https://oapi.dingtalk.com/robot/send?access_token={T}",
    ),
    (
        "dingtalk",
        f" HTTPS://OAPI.DingTalk.com/robot/send/?access_token={T}\n",
        f"https://oapi.dingtalk.com/robot/send?access_token={T}",
    ),
    ("wecom", f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={T}", None),
    ("lark", f"https://open.feishu.cn/open-apis/bot/v2/hook/{T}", None),
    ("lark", f"https://open.larksuite.com/open-apis/bot/v2/hook/{T}", None),
    (
        "lark",
        f"https://open.feishu.cn/open-apis/bot/v2/hook/{T}?x=1",
        f"https://open.feishu.cn/open-apis/bot/v2/hook/{T}",
    ),
    ("slack", f"https://hooks.slack.com/services/T0001/B0001/{T}", None),
    ("arms", f"https://alerts.aliyuncs.com/api/v1/integrations/custom/{T}", None),
    ("arms", f"https://alerts.aliyuncs.com/api/v1/events/{T}", None),
    ("arms", f"https://alerts.aliyuncs.com/api/v1/cm/callback/{T}", None),
    ("dingtalk", f"https://robots.example/robot/send?access_token={T}", None),
    ("slack", f"https://robots.example:8443/services/T/B/{T}", None),
    ("wecom", f"http://127.0.0.1:8081/cgi-bin/webhook/send?key={T}", None),
    ("lark", f"http://[::1]:81/open-apis/bot/v2/hook/{T}", None),
]


@pytest.mark.parametrize(("channel", "url", "canonical"), ACCEPTED)
def test_documented_addresses_are_accepted(channel: str, url: str, canonical: str | None) -> None:
    webhook = channel_of(url, EXTRA)
    assert webhook.channel == channel
    assert webhook.url == (canonical or url)
    assert webhook.host == urlsplit(webhook.url).netloc
    assert channel_of(webhook.url, EXTRA) == webhook
    assert T not in repr(webhook)


SEND = f"/robot/send?access_token={T}"
REFUSED = [
    ("http", f"http://oapi.dingtalk.com{SEND}", "starts with https://"),
    ("another scheme", f"ftp://oapi.dingtalk.com{SEND}", "not a webhook address"),
    ("no scheme", f"oapi.dingtalk.com{SEND}", "not a webhook address"),
    ("no host", f"https://{SEND}", "not a webhook address"),
    ("javascript", "javascript:alert(1)", "not a webhook address"),
    ("nothing", "", "not a webhook address"),
    ("user and password", f"https://u:p@oapi.dingtalk.com{SEND}", "no user name"),
    ("vendor as user", f"https://oapi.dingtalk.com@evil.example{SEND}", "no user name"),
    ("empty user", f"https://@oapi.dingtalk.com{SEND}", "no user name"),
    ("port", f"https://oapi.dingtalk.com:8443{SEND}", "no port"),
    ("usual port", f"https://oapi.dingtalk.com:443{SEND}", "no port"),
    ("empty port", f"https://oapi.dingtalk.com:{SEND}", "not accepted"),
    ("bad port", f"https://oapi.dingtalk.com:99999{SEND}", "not a webhook address"),
    ("port zero", f"https://oapi.dingtalk.com:0{SEND}", "not accepted"),
    ("unknown host", f"https://evil.example{SEND}", "evil.example are not accepted"),
    ("vendor as a prefix", f"https://oapi.dingtalk.com.evil.example{SEND}", "not accepted"),
    ("vendor as a suffix", f"https://eviloapi.dingtalk.com{SEND}", "not accepted"),
    ("subdomain", f"https://x.oapi.dingtalk.com{SEND}", "not accepted"),
    ("trailing dot", f"https://oapi.dingtalk.com.{SEND}", "not accepted"),
    ("percent in the host", f"https://oapi%2edingtalk.com{SEND}", "not accepted"),
    ("Cyrillic letter in the host", f"https://oapi.dingtаlk.com{SEND}", "characters that do not belong"),
    ("full-width host", f"https://ｏapi.dingtalk.com{SEND}", "characters that do not belong"),
    ("ideographic dot", f"https://oapi。dingtalk。com{SEND}", "characters that do not belong"),
    ("backslash", f"https://oapi.dingtalk.com\\@evil.example{SEND}", "characters that do not belong"),
    ("blank", f"https://oapi.dingtalk.com /{SEND}", "characters that do not belong"),
    ("line break", f"https://oapi.dingtalk.com/robot\n/send?access_token={T}", "characters that do not belong"),
    ("tab that urlsplit drops", f"https://oapi.dingtalk.com/robot/se\tnd?access_token={T}", "characters that do not"),
    ("fragment", f"https://oapi.dingtalk.com{SEND}#x", "no #"),
    ("host in the fragment", f"https://evil.example#@oapi.dingtalk.com{SEND}", "no #|no user name"),
    ("address", f"https://127.0.0.1{SEND}", "not accepted"),
    ("number as address", f"https://2130706433{SEND}", "not accepted"),
    ("no token", "https://oapi.dingtalk.com/robot/send", "access_token of this webhook is missing"),
    ("empty token", "https://oapi.dingtalk.com/robot/send?access_token=", "missing or damaged"),
    ("token of dots", "https://oapi.dingtalk.com/robot/send?access_token=…", "characters that do not belong"),
    ("placeholder", "https://oapi.dingtalk.com/robot/send?access_token=<token>", "characters that do not belong"),
    ("two tokens", f"https://oapi.dingtalk.com{SEND}&access_token=other", "missing or damaged"),
    ("line break in the token", "https://oapi.dingtalk.com/robot/send?access_token=a%0d%0ab", "missing or damaged"),
    ("another page", "https://oapi.dingtalk.com/robot/sendBySession?session=1", "not the webhook of a robot"),
    ("page of another vendor", f"https://oapi.dingtalk.com/cgi-bin/webhook/send?key={T}", "not the webhook of a robot"),
    ("dots in the path", f"https://oapi.dingtalk.com/x/../robot/send?access_token={T}", "not the webhook of a robot"),
    ("wecom with another parameter", f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?token={T}", "key of this"),
    ("old lark", f"https://open.feishu.cn/open-apis/bot/hook/{T}", "not the webhook of a robot"),
    ("lark without token", "https://open.feishu.cn/open-apis/bot/v2/hook/", "token of this webhook is missing"),
    ("lark with more path", f"https://open.feishu.cn/open-apis/bot/v2/hook/{T}/x", "token of this webhook"),
    ("slack with two parts", "https://hooks.slack.com/services/T0001/B0001", "token of this webhook is missing"),
    ("slack with an empty part", f"https://hooks.slack.com/services//B0001/{T}", "token of this webhook"),
    ("slack with dots", "https://hooks.slack.com/services/../B/x", "token of this webhook"),
    ("arms without key", "https://alerts.aliyuncs.com/api/v1/integrations/custom", "token of this webhook"),
    ("extra host with another port", f"https://robots.example:9443{SEND}", "not accepted"),
    ("extra host with http", f"http://robots.example{SEND}", "not accepted"),
    ("extra host with https", f"https://127.0.0.1:8081{SEND}", "not accepted"),
    ("extra host, unknown path", "https://robots.example/x", "not the webhook of a robot"),
    ("too long", f"https://oapi.dingtalk.com/robot/send?access_token={'x' * 2000}", "too long"),
]


@pytest.mark.parametrize(("name", "url", "told"), REFUSED, ids=[row[0] for row in REFUSED])
def test_everything_else_is_refused_in_one_sentence(name: str, url: str, told: str) -> None:
    with pytest.raises(CommandError, match=told) as caught:
        channel_of(url, EXTRA)
    assert str(caught.value).endswith(".")
    assert T not in str(caught.value)


@given(st.text() | st.from_regex(r"https?://[a-z.@:%\\/\[\]#?&=0-9]*", fullmatch=True))
@example("https://[::1")
@example("https://[x]/robot/send")
@example("https://\ud800/")
@example("https://oapi.dingtalk.com/robot/send?" + "a&" * 400)
def test_any_text_gives_a_webhook_or_a_sentence(text: str) -> None:
    try:
        webhook = channel_of(text, EXTRA)
    except CommandError:
        pass
    else:
        parts = urlsplit(webhook.url)
        assert parts.hostname in VENDORS or parts.netloc in {
            "robots.example",
            *EXTRA[1:2],
            "127.0.0.1:8081",
            "[::1]:81",
        }
    masked(text)


@given(st.sampled_from(sorted(VENDORS)), st.text(max_size=40), st.text(max_size=10))
def test_no_text_around_a_vendors_host_leads_elsewhere(host: str, after: str, before: str) -> None:
    try:
        webhook = channel_of(f"https://{before}{host}{after}")
    except CommandError:
        return
    assert urlsplit(webhook.url).netloc in VENDORS


def test_masked_shows_host_and_the_last_four_characters() -> None:
    assert masked(ACCEPTED[0][1]) == "oapi.dingtalk.com…0ken"
    assert masked("https://[") == "…://["
    assert masked("") == "…"


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("robots.example", Origin("https", "robots.example", 443)),
        (" Robots.Example:8443 ", Origin("https", "robots.example", 8443)),
        ("http://127.0.0.1:8081/", Origin("http", "127.0.0.1", 8081)),
        ("http://robots.example", Origin("http", "robots.example", 80)),
        ("https://robots.example", Origin("https", "robots.example", 443)),
    ],
)
def test_entries_of_webhook_hosts(entry: str, origin: Origin) -> None:
    assert open_origin(entry) == origin


MALFORMED = ["", "*", "ftp://x", "http://u:p@x", "http://x/path", "x:y", "x y", "http://x?y=1", "x:0", "x:99999", "x:"]
MALFORMED += ["-foo", "a..b", "x//", "ho\tst", "[::", "http://"]


@pytest.mark.parametrize("entry", MALFORMED)
def test_malformed_entries_of_webhook_hosts(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is not host|Port|port|Invalid"):
        open_origin(entry)
