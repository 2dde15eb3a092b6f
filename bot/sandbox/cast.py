"""Who people can be in the sandbox, and where: two players on four platforms, and whom the cloud knows besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.sandbox.cloudmonitor import CmsContact
from bot.sandbox.das import DasContact

Chat = Literal["dingtalk", "wecom", "lark", "slack"]

CORPS = {"dingtalk": "dingsandbox", "wecom": "wwsandbox", "lark": "sandbox", "slack": "TSANDBOX1"}
"""What each platform calls the organisation."""

GROUPS = {
    "dingtalk": "cidSandboxOncall==",
    "wecom": "wrSandboxOncall",
    "lark": "oc_sandbox_oncall",
    "slack": "CSANDBOX1",
}
TITLES = {"dingtalk": "oncall", "wecom": "dba-wecom", "lark": "sre-lark", "slack": "alerts-slack"}


@dataclass(frozen=True, slots=True)
class Seat:
    """What one platform calls a player, and the one-to-one chat with the bot there."""

    person: str
    chat: str


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody a visitor of the page can be, on every platform at once.

    also  the name beside it for people who do not read Chinese
    """

    id: str
    name: str
    also: str
    admin: bool
    phone: str
    mailbox: str

    def on(self, platform: str) -> Seat:
        word = self.also.lower()
        return {
            "dingtalk": Seat(self.id, f"cidSandbox{self.also}=="),
            "wecom": Seat(word, f"wecom-sandbox-{word}"),
            "lark": Seat(f"ou_sandbox_{word}", f"oc_sandbox_{word}"),
            "slack": Seat(f"USANDBOX{word.upper()}", f"DSANDBOX{word.upper()}"),
        }[platform]


PLAYERS = (
    Player("admin01", "林小满", "Lin", True, "+8613800138000", "lin@example.com"),
    Player("member01", "王磊", "Wang", False, "+8613900139000", "wang@example.com"),
)


def player_called(who: str) -> Player:
    """The player with that id. Raises LookupError."""
    found = next((one for one in PLAYERS if one.id == who), None)
    if found is None:
        raise LookupError(f"nobody called {who!r} here")
    return found


def admins_on(platform: str) -> tuple[str, ...]:
    """The players who may do everything there, as the setting ADMINS has them."""
    return tuple(f"{platform}:{CORPS[platform]}/{one.on(platform).person}" for one in PLAYERS if one.admin)


CLOUD_CONTACTS = (
    CmsContact(
        "陈晨", {"Mail": "chen@example.com", "SMS": "13700137000"}, {"Mail": "OK", "SMS": "PENDING"}, ("cloud-dba",)
    ),
    CmsContact(
        "Zhao Min", {"Mail": "zhao@example.com", "SMS": "136****6000"}, {"Mail": "OK", "SMS": "OK"}, ("cloud-dba",)
    ),
)
"""What CloudMonitor knows: `sync cloudmonitor` imports them. A value with `*` is masked, as in the real one."""

INSTANCE = "rm-sandbox01"
DAS_CONTACTS = (DasContact("Sun Li", phone="13600136000", email="sun@example.com", groups=("das-dba",)),)
"""Whom DAS notifies about that instance: `sync das rm-sandbox01` imports them."""
