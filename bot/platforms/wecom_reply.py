"""What the smart robot answers in the response to a callback: the only place where it can show and change buttons.

https://developer.work.weixin.qq.com/document/path/101031. A message is answered by a stream that ends at once, for plain
text is no answer there; the button of a card by the card as it is from then on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.channels.fit import cleaned, fitted
from bot.markup import wecom_card, wecom_v2
from bot.platforms.contract import Incoming
from bot.platforms.wecom_crypto import Envelope, signature
from bot.platforms.wecom_people import user_of
from handlers.document import Document
from handlers.exchange import Outcome
from handlers.texts import Language, _, render

STREAM_MAX_BYTES = 20_480


def sealed(envelope: Envelope, answer: Mapping[str, Any], nonce: str, now: datetime) -> str:
    """The answer as the body of the response; `nonce` is the callback's."""
    encrypted = envelope.sealed(json.dumps(answer, ensure_ascii=False))
    timestamp = int(now.timestamp())
    sign = signature(envelope.token, str(timestamp), nonce, encrypted)
    return json.dumps({"encrypt": encrypted, "msgsignature": sign, "timestamp": timestamp, "nonce": nonce})


def answer(incoming: Incoming, outcome: Outcome | None) -> dict[str, Any] | None:
    """What the response shows; None when everything there is to say is owed."""
    if outcome is None or outcome.told is None or not outcome.inline:
        return None
    if incoming.press is not None:
        return _changed(incoming, incoming.press.handle, outcome, outcome.told)
    return _told(incoming, outcome.told, outcome.language)


def left_over(incoming: Incoming, outcome: Outcome | None) -> Document | None:
    """What the changed card had no room for, to be said as a message of its own: the whole document.

    The card of an alert is a summary wherever it stands; `alert #42` tells the rest.
    """
    told = outcome.told if outcome is not None and outcome.inline and outcome.replaces else None
    if incoming.press is None or told is None or told.number is not None:
        return None
    return None if wecom_card.whole(cleaned(told), wecom_card.ROBOT) else replace(told, buttons=())


def welcome(language: Language) -> dict[str, Any]:
    """To somebody who opens the conversation."""
    hello = _("Hello, I am Callboard. Say “help” to see what I can do.")
    return {"msgtype": "text", "text": {"content": render(hello, language)}}


def ended(stream_id: str, language: Language) -> dict[str, Any]:
    """To the question how a stream goes on. All of ours end at once, so it is one that nobody knows any more."""
    over = _("That is all. Please send the command again if something is missing.")
    return _stream(stream_id, render(over, language))


def _told(incoming: Incoming, document: Document, language: Language) -> dict[str, Any]:
    """The words, and below them a card with the buttons if there are any."""
    fit = fitted(document, language, STREAM_MAX_BYTES, lambda one: len(wecom_v2.markdown(one).encode()))
    digest = hashlib.sha256(incoming.message_id.encode()).hexdigest()[:32]
    stream, neat = _stream(f"cb-{digest}", wecom_v2.markdown(fit)), cleaned(document)
    if not wecom_card.pressable(neat):
        return stream
    card = wecom_card.labelled(neat, wecom_card.ROBOT, f"cb-{digest}")
    return stream | {"msgtype": "stream_with_template_card", "template_card": card}


def _stream(stream_id: str, content: str) -> dict[str, Any]:
    return {"msgtype": "stream", "stream": {"id": stream_id, "finish": True, "content": content}}


def _changed(incoming: Incoming, task_id: str, outcome: Outcome, told: Document) -> dict[str, Any]:
    """The card as it is from now on: for everybody, or for who pressed alone where nothing has changed."""
    card = wecom_card.summary(cleaned(told), wecom_card.ROBOT, outcome.language, task_id)
    alone = {} if outcome.replaces else {"userids": [user_of(incoming.person)]}
    return {"response_type": "update_template_card", **alone, "template_card": card}
