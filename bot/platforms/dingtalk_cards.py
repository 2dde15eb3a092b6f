"""DingTalk interactive cards: answers with buttons that tell who pressed them, and that change where they are.

Out: https://open.dingtalk.com/document/development/create-and-deliver-cards, …/interactive-card-update-interface
In:  https://open.dingtalk.com/document/development/event-callback-card

A card shows the variables of a template made once in the card console (docs/connect-dingtalk.md): `title`, `text`
(Markdown), `status` ("open" while it has buttons, else "done"), and for each of four buttons its label (`button1`) and
what it sends back (`token1`); a button without a label is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bot.http import HttpReply
from bot.markup.dingtalk import DOTS, inside
from bot.markup.plain import MARK, cut_bytes, one_line
from bot.platforms.contract import Incoming, Place, Press, Speaker
from bot.platforms.dingtalk_app import (
    Cards,
    DingTalkCredentials,
    ask,
    code_of,
    group_of,
    id_of,
    person_of,
    staff_of,
)
from bot.platforms.dingtalk_refusals import api_refusal, no_answer
from handlers.document import Document
from handlers.errors import DeliveryError, PayloadError
from handlers.exchange import Outcome
from handlers.texts import _

CREATE_URL = "https://api.dingtalk.com/v1.0/card/instances/createAndDeliver"
CARD_URL = "https://api.dingtalk.com/v1.0/card/instances"
REGISTER_URL = "https://api.dingtalk.com/v1.0/card/callbacks/register"

VALUE_MAX_BYTES = 1024
"""Of a variable (https://open.dingtalk.com/document/development/instructions-for-filling-in-api-card-data)."""

BUTTONS = 4
STAFF_IDS = 1
"""`userIdType`: people are named by their staff id, also in callbacks."""

BY_KEY = {"updateCardDataByKey": True, "updatePrivateDataByKey": True}
"""Without it the variables that are not sent would be emptied."""

_PREFIX = "callboard-"


def track_of(key: str) -> str:
    """`outTrackId` of the card that a delivery becomes: the same for every try, so that none makes a second card."""
    return _PREFIX + key


def is_card(reference: str) -> bool:
    return reference.startswith(_PREFIX)


def variables(document: Document) -> tuple[dict[str, str], bool]:
    """What the template shows of a localized document, and whether that is all of its words."""
    heading = one_line(document.heading()) or MARK
    title = cut_bytes(" ".join(part for part in (DOTS[document.tone], heading) if part), VALUE_MAX_BYTES)
    text, whole = inside(document, VALUE_MAX_BYTES)
    buttons = [one for one in document.buttons if one.token][:BUTTONS]
    values = {"title": title, "text": text, "status": "open" if buttons else "done"}
    for at in range(BUTTONS):
        button = buttons[at] if at < len(buttons) else None
        # Always all of them: what an update does not name stays as it was.
        values[f"button{at + 1}"] = cut_bytes(one_line(str(button.label)), VALUE_MAX_BYTES) if button else ""
        values[f"token{at + 1}"] = button.token if button else ""
    return values, whole


# ---- out


def deliver(
    values: Mapping[str, str], track: str, place: Place, app: DingTalkCredentials, cards: Cards, speaker: Speaker
) -> None:
    """Makes the card and shows it there. Raises DeliveryError; a card that was made by an earlier try is none."""
    if cards.callback_url:
        _register(app, cards, speaker)
        calls_back: dict[str, object] = {"callbackType": "HTTP", "callbackRouteKey": cards.route_key}
    else:
        calls_back = {"callbackType": "STREAM"}
    group, staff = group_of(place), staff_of(place)
    if not (group or staff):
        raise DeliveryError(
            "no_recipient", _("DingTalk did not say who this person is, so nothing can be sent there."), permanent=True
        )
    robot = {"robotCode": app.client_id}
    if group:
        # A card that is passed on would let people press who are not in the conversation.
        space = {"imGroupOpenSpaceModel": {"supportForward": False}, "imGroupOpenDeliverModel": robot}
    else:
        space = {
            "imRobotOpenSpaceModel": {"supportForward": False},
            "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", **robot},
        }
    message = {
        "cardTemplateId": cards.template,
        "outTrackId": track,
        **calls_back,
        "cardData": {"cardParamMap": dict(values)},
        "openSpaceId": f"dtv1.card//IM_GROUP.{group}" if group else f"dtv1.card//IM_ROBOT.{staff}",
        "userIdType": STAFF_IDS,
        **space,
    }
    reply = ask("POST", CREATE_URL, message, app, speaker.http)
    if code_of(reply) == "param.cardAlreadyExist":
        return
    result = _succeeded(reply).get("result")
    shown = result.get("deliverResults") if isinstance(result, Mapping) else None
    if not isinstance(shown, list) or not all(isinstance(one, Mapping) and one.get("success") is True for one in shown):
        raise DeliveryError("no_card", _("DingTalk made a card and did not show it."), permanent=True)


def update(values: Mapping[str, str], track: str, app: DingTalkCredentials, speaker: Speaker) -> None:
    """Changes the card where it is. Raises DeliveryError.

    Not from inside a callback: its own answer changes the card then.
    """
    message = {
        "outTrackId": track,
        "cardData": {"cardParamMap": dict(values)},
        "userIdType": STAFF_IDS,
        "cardUpdateOptions": BY_KEY,
    }
    _succeeded(ask("PUT", CARD_URL, message, app, speaker.http))


def _register(app: DingTalkCredentials, cards: Cards, speaker: Speaker) -> None:
    """Makes our address known, once in the life of the process: the settings may have changed since the last."""
    with cards.lock:
        if cards.registered:
            return
        message = {
            "callbackRouteKey": cards.route_key,
            "callbackUrl": cards.callback_url,
            "apiSecret": cards.api_secret,
            "forceUpdate": True,
        }
        _succeeded(ask("POST", REGISTER_URL, message, app, speaker.http))
        cards.registered = True


def _succeeded(reply: HttpReply) -> Mapping[str, Any]:
    """The body of an answer that says so itself, or the DeliveryError it amounts to."""
    code, body = code_of(reply), reply.json()
    if code:
        raise api_refusal(code, reply.status)
    if reply.status != 200 or not isinstance(body, Mapping) or body.get("success") is not True:
        raise no_answer(reply)
    return body


# ---- in


def pressed(
    body: Mapping[str, Any], delivery_id: str, carry_out: Callable[[Incoming], Outcome | None]
) -> dict[str, Any]:
    """Carries out what a verified callback says was pressed, and gives what is to be answered within two seconds.

    delivery_id  the same only when DingTalk delivers one press again
    Raises PayloadError, and ForgedButton for a button that is not ours.
    """
    incoming = decode(body, delivery_id)
    outcome = carry_out(incoming) if incoming is not None else None
    if outcome is None or outcome.told is None or not outcome.inline:
        return {}
    values, _whole = variables(outcome.told)
    return {"cardUpdateOptions": BY_KEY, "cardData": {"cardParamMap": values}}


def decode(body: Mapping[str, Any], delivery_id: str) -> Incoming | None:
    """The press; None for an event of a card that is not of our template: the app may have others."""
    if not isinstance(body, Mapping):
        raise PayloadError("$", _("a JSON object is expected"))
    content = _content(body)
    private = content.get("cardPrivateData")
    params = private.get("params") if isinstance(private, Mapping) else None
    if not isinstance(params, Mapping):
        params = content.get("params")  # another official page shows it here
    token = params.get("token") if isinstance(params, Mapping) else None
    if not isinstance(token, str) or not token:
        return None
    track, person = id_of(body.get("outTrackId")), person_of(id_of(body.get("corpId")), body.get("userId"))
    for name, found in (("outTrackId", track), ("userId", person)):
        if not found:
            raise PayloadError(f"$.{name}", _("an id of at most 256 characters is expected"))
    # The conversation is left to the button: the callback has no documented field for it.
    return Incoming(
        platform="dingtalk",
        message_id=delivery_id,
        person=person,
        name="",
        conversation="",
        direct=False,
        text="",
        press=Press(token, handle=track),
        inline="replace",
    )


def _content(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was pressed: JSON in a string, under either of two documented names."""
    raw = body.get("content") or body.get("value")
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raw = None
    return raw if isinstance(raw, Mapping) else {}
