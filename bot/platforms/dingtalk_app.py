"""The DingTalk app: what it needs to speak, how its API is asked, and how DingTalk's people are named."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.http import Http, HttpReply, Unreachable
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Place
from bot.platforms.dingtalk_refusals import unreachable
from bot.settings import Settings

CARDS_PATH = "/dingtalk/cards"

_ID = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")


@dataclass(slots=True, eq=False)
class Cards:
    """Interactive cards: what they are made of, and how DingTalk tells who pressed a button of one.

    template      id of the template made in the card console
    callback_url  where presses are posted; "" where they come through the Stream connection
    api_secret    signs what is posted there
    """

    template: str
    callback_url: str = ""
    api_secret: str = field(default="", repr=False)
    registered: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def route_key(self) -> str:
        """The name under which DingTalk knows the address: another one for each address of each installation."""
        return f"callboard-{hashlib.sha256(self.callback_url.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class DingTalkCredentials:
    """The app that speaks. `client_id` is also the robot's code; without `cards` buttons are links."""

    client_id: str
    client_secret: str = field(repr=False)
    tokens: AccessTokens = field(repr=False)
    cards: Cards | None = None


def card_secret(client_secret: str) -> str:
    """The secret that DingTalk signs the callbacks of cards with: made from the app's, so that it need not be set."""
    return (
        hmac.digest(client_secret.encode(), b"callboard card callbacks", hashlib.sha256).hex() if client_secret else ""
    )


def cards_of(settings: Settings) -> Cards | None:
    """None without a template, or without a way for presses to reach us."""
    if not settings.dingtalk_card_template:
        return None
    if settings.dingtalk_stream:
        return Cards(settings.dingtalk_card_template)
    local = f"http://{settings.host}:{settings.port}" if settings.sandbox else ""
    base = settings.public_url or local
    if not base:
        return None
    return Cards(settings.dingtalk_card_template, f"{base}{CARDS_PATH}", card_secret(settings.dingtalk_client_secret))


def buttons(app: object) -> Literal["press", "link"]:
    """Whether DingTalk tells who pressed a button, or a page of ours has to ask."""
    return "press" if isinstance(app, DingTalkCredentials) and app.cards is not None else "link"


# ---- the API


def ask(
    method: Literal["POST", "PUT"], url: str, message: Mapping[str, object], app: DingTalkCredentials, http: Http
) -> HttpReply:
    """The answer of the app's API; a refused access token is renewed once. Raises DeliveryError when none came."""
    token = app.tokens.get(http)
    reply = _asked(method, url, message, token, http)
    if code_of(reply) == "InvalidAuthentication":
        app.tokens.drop(token)
        reply = _asked(method, url, message, app.tokens.get(http), http)
    return reply


def _asked(method: str, url: str, message: Mapping[str, object], token: str, http: Http) -> HttpReply:
    try:
        return http.request(method, url, json=message, headers={"x-acs-dingtalk-access-token": token})
    except Unreachable as error:
        raise unreachable(error) from error


def code_of(reply: HttpReply) -> str:
    """The code of a refusal, "" where the answer has none."""
    body = reply.json()
    code = body.get("code") if isinstance(body, Mapping) else None
    return code if isinstance(code, str) else ""


# ---- people and places


def plain(value: object) -> str:
    """A string or number as text; DingTalk documents strings and sends numbers, and the other way round."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else ""
    return value.strip() if isinstance(value, str) else ""


def id_of(value: object) -> str:
    """The id when it is one, else ""."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = plain(value)
    return text if _ID.fullmatch(text) else ""


def person_of(corp: str, staff_id: object) -> str:
    """`dingtalk:corp/staff`; "" for people outside the organisation, whom DingTalk gives no staff id."""
    staff = id_of(staff_id)
    return f"dingtalk:{corp}/{staff}" if corp and staff and "/" not in corp else ""


def group_of(place: Place) -> str:
    """The group's id as the API knows it; "" for one-to-one."""
    return place.conversation.removeprefix("dingtalk:") if place.conversation and not place.direct else ""


def staff_of(place: Place) -> str:
    """The staff id of the person; "" where nobody could be reached."""
    return place.person.removeprefix("dingtalk:").partition("/")[2] if place.person.startswith("dingtalk:") else ""
