"""What a tool would post to a chat robot, taken at the robots' own paths: each post is an alert that is over at once.

The sender needs nothing but another host in his address. A post has no severity and no end: it is a warning, it is told
once, and nobody has to close it. The token is the proof; a `timestamp` and `sign`, which some tools add for a robot
that has a secret, prove nothing more and are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from handlers.errors import PayloadError
from handlers.model import Alert, Post
from handlers.sources import robot_dingtalk, robot_lark, robot_slack, robot_wecom
from handlers.sources.contract import Body, Source, fingerprint, fitted
from handlers.sources.reader import Node, read_form, read_json
from handlers.sources.robot_parts import Said, titled
from handlers.texts import _
from handlers.urls import safe_url

NAME = "robot"

PATHS = (
    "/robot/send?access_token={token}",
    "/cgi-bin/webhook/send?key={token}",
    "/open-apis/bot/v2/hook/{token}",
    "/services/T0CALLBOARD/B0CALLBOARD/{token}",
)
"""Of DingTalk, WeCom, Lark and Slack. The middle of Slack's names a workspace and a hook: any will do."""

READERS: Mapping[str, Callable[[Node], Said]] = {
    "dingtalk": robot_dingtalk.read,
    "wecom": robot_wecom.read,
    "lark": robot_lark.read,
    "slack": robot_slack.read,
}


def posted(platform: str, top: Node, now: datetime, new_id: str) -> Alert:
    """The alert that a message for a robot of that platform is; raises PayloadError for none that it documents.

    new_id  tells this post from every other one; unused when the sender names his posts himself (`msgUuid`)
    """
    said = titled(READERS[platform](top), top.path)
    identity = ("given", said.given) if said.given else ("post", new_id)
    return fitted(
        Alert(
            fingerprint=fingerprint(NAME, platform, *identity),
            title=said.title,
            description=said.text,
            rule=said.title,
            links=tuple((label or "link", url) for label, url in dict.fromkeys(said.links) if safe_url(url)),
            starts_at=now,
            ends_at=now,
            post=Post(platform, said.body),
        )
    )


def message(platform: str, body: Body) -> Node:
    """The JSON of the message; Slack's may stand in the form field `payload`. Raises PayloadError."""
    if platform == "slack" and body.raw.lstrip()[:1] != b"{" and b"payload=" in body.raw:
        return read_form(body.raw).get("payload").unfolded()
    return read_json(body.raw)


def parse(_body: Body, _now: datetime) -> list[Alert]:
    """Always an error: which platform a message is for is told by its path alone."""
    raise PayloadError("$", _("messages for robots go to the four URLs that were shown when this source was added"))


SOURCE = Source(NAME, parse, paths=PATHS)
