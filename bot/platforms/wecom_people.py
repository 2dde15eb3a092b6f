"""How the people and conversations of a WeCom organisation are called here, and who may be written to."""

from __future__ import annotations

import re

_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
"""https://developer.work.weixin.qq.com/document/path/90195: what a userid is made of. `|` and a leading `@` would make
several people or everybody of one."""


def is_member(user_id: str) -> bool:
    """A person, not the system itself (`sys`) and not several."""
    return bool(_MEMBER.fullmatch(user_id)) and user_id != "sys"


def person_of(corp_id: str, user_id: str) -> str:
    return f"wecom:{corp_id}/{user_id}"


def conversation_of(corp_id: str, way: str, place: str) -> str:
    """`wecom:<corp>/app/<userid>`, `wecom:<corp>/single/<userid>`; for groups `way` is "": `wecom:<corp>/<chatid>`."""
    name = place.replace("/", "%2F")
    return f"wecom:{corp_id}/{way}/{name}" if way else f"wecom:{corp_id}/{name}"


def owner_of(conversation: str) -> str:
    """The person whose one-to-one chat with the app or the robot this is; "" for groups."""
    corp, _slash, rest = conversation.partition("/")
    way, slash, user_id = rest.partition("/")
    return f"{corp}/{user_id}" if slash and way in ("app", "single") else ""


def user_of(person: str) -> str:
    """The userid in a person's name, "" where there is none that can be written to."""
    platform, _, rest = person.partition(":")
    user_id = rest.partition("/")[2]
    return user_id if platform == "wecom" and is_member(user_id) else ""
