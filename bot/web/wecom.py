"""`/wecom/app` and `/wecom/bot`: what people say to the self-built app (XML) and to the smart robot (JSON), and the buttons
they press."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from flask import Blueprint, Response, request

from bot.platforms import wecom_app, wecom_reply, wecom_robot, wecom_xml
from bot.platforms.contract import Incoming
from bot.platforms.wecom_crypto import Envelope, Forged
from bot.web.alerts import MAX_BYTES, refusal
from handlers.buttons import ForgedButton
from handlers.document import Document
from handlers.errors import PayloadError
from handlers.exchange import Outcome
from handlers.texts import Language, render

Heard = TypeVar("Heard")

SKEW_S = 600.0
"""WeCom names no age at which a callback is void, only that its time guards against replays."""

_FORGED = "The signature does not match, its timestamp is more than ten minutes away, or the message cannot be opened."
_FOREIGN = "This button was not made by Callboard."
_NO_APP = "The WeCom app is not set up here: WECOM_CORP_ID, WECOM_TOKEN and WECOM_AES_KEY are needed."
_NO_ROBOT = "The WeCom robot is not set up here: WECOM_CORP_ID, WECOM_BOT_TOKEN and WECOM_BOT_AES_KEY are needed."


def blueprint(
    corp_id: str,
    app: Envelope | None,
    robot: Envelope | None,
    take_in: Callable[[Incoming], object],
    carry_out: Callable[[Incoming], Outcome | None],
    owe: Callable[[Incoming, Document, Language], None],
    clock: Callable[[], datetime],
    language: Language,
) -> Blueprint:
    """The routes exist always; where WeCom is not set up (no envelope) they say so.

    take_in    stores a message, to be carried out later
    carry_out  does it at once, where the response has to show what became of it; raises ForgedButton
    owe        says something in a message of its own
    language   of the few words that are said to nobody in particular
    """
    routes = Blueprint("wecom", __name__)
    _app_routes(routes, corp_id, app, take_in, carry_out, clock)
    _robot_routes(routes, corp_id, robot, carry_out, owe, clock, language)
    return routes


def _app_routes(
    routes: Blueprint,
    corp_id: str,
    app: Envelope | None,
    take_in: Callable[[Incoming], object],
    carry_out: Callable[[Incoming], Outcome | None],
    clock: Callable[[], datetime],
) -> None:
    def decoded(outer: bytes) -> Incoming | None:
        encrypted = wecom_xml.fields(outer.decode()).get("Encrypt", "")
        return wecom_app.decode(wecom_xml.fields(_opened(app, encrypted, clock())), corp_id)

    def heard(incoming: Incoming | None) -> str:
        """Everything there is to say follows on its own; the response holds nothing."""
        if incoming is not None and incoming.press is not None:
            carry_out(incoming)
        elif incoming is not None:
            take_in(incoming)
        return ""

    @routes.get("/wecom/app")
    def verify_app() -> Response:
        return _verified(app, clock()) if app else refusal(404, _NO_APP)

    @routes.post("/wecom/app")
    def app_message() -> Response:
        return _callback(decoded, heard) if app else refusal(404, _NO_APP)


def _robot_routes(
    routes: Blueprint,
    corp_id: str,
    robot: Envelope | None,
    carry_out: Callable[[Incoming], Outcome | None],
    owe: Callable[[Incoming, Document, Language], None],
    clock: Callable[[], datetime],
    language: Language,
) -> None:
    def decoded(outer: bytes) -> tuple[object, Incoming | None]:
        sealed = json.loads(outer)
        encrypted = sealed.get("encrypt", sealed.get("Encrypt")) if isinstance(sealed, dict) else None
        body = json.loads(_opened(robot, encrypted if isinstance(encrypted, str) else "", clock()))
        return body, wecom_robot.decode(body, corp_id, clock())

    def heard(message: tuple[object, Incoming | None]) -> str:
        """Buttons are shown and changed in the response, and what only announces an answer; others follow on their own."""
        body, incoming = message
        if incoming is None:
            stream_id = wecom_robot.stream_of(body)
            if stream_id:
                return answered(wecom_reply.ended(stream_id, language))
            return answered(wecom_reply.welcome(language) if wecom_robot.entered(body) else None)
        outcome = carry_out(incoming)
        rest = wecom_reply.left_over(incoming, outcome)
        if outcome is not None and rest is not None:
            owe(incoming, rest, outcome.language)
        return answered(wecom_reply.answer(incoming, outcome))

    def answered(answer: Mapping[str, object] | None) -> str:
        return wecom_reply.sealed(robot, answer, _parameter("nonce"), clock()) if robot and answer else ""

    @routes.get("/wecom/bot")
    def verify_robot() -> Response:
        return _verified(robot, clock()) if robot else refusal(404, _NO_ROBOT)

    @routes.post("/wecom/bot")
    def robot_message() -> Response:
        return _callback(decoded, heard) if robot else refusal(404, _NO_ROBOT)


def _callback(decode: Callable[[bytes], Heard], act: Callable[[Heard], str]) -> Response:
    """What `act` says to what was decoded; a refusal for what WeCom did not send."""
    if request.content_length is not None and request.content_length > MAX_BYTES:
        return refusal(413, "The body is too large.")
    outer = request.get_data(cache=False)
    if len(outer) > MAX_BYTES:
        return refusal(413, "The body is too large.")
    try:
        decoded = decode(outer)
    except Forged:
        return refusal(401, _FORGED)
    except PayloadError as error:
        return refusal(400, f"{error.path}: {render(error.say, 'en')}", path=error.path)
    except (ValueError, RecursionError):
        return refusal(400, "The body is not what WeCom sends.")
    try:
        return _text(act(decoded))
    except ForgedButton:
        return refusal(403, _FOREIGN)


def _verified(envelope: Envelope, now: datetime) -> Response:
    """The answer to WeCom's question, when the address is saved there, whether we know token and key."""
    try:
        echo = _opened(envelope, _parameter("echostr"), now)
    except Forged:
        return refusal(401, _FORGED)
    if echo.startswith(("<xml", "{")):
        # A message sent as a question, with the signature it came with, would be told to whoever asks.
        return refusal(401, _FORGED)
    return _text(echo)


def _opened(envelope: Envelope | None, encrypted: str, now: datetime) -> str:
    """The message inside, checked with what the address carries. Raises Forged."""
    timestamp, nonce = _parameter("timestamp"), _parameter("nonce")
    if envelope is None or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 14):
        raise Forged("no time")
    message = envelope.opened(_parameter("msg_signature"), timestamp, nonce, encrypted)
    if abs(now.timestamp() - int(timestamp)) > SKEW_S:
        raise Forged("too old, or from the future")
    return message


def _parameter(name: str) -> str:
    """A parameter of the address, decoded once; "" for one that is missing or stands there twice."""
    found = request.args.getlist(name)
    return found[0] if len(found) == 1 else ""


def _text(body: str) -> Response:
    return Response(body, content_type="text/plain; charset=utf-8")
