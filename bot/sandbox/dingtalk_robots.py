"""DingTalk: group robots by their webhook, and the session webhook of a conversation (`oapi.dingtalk.com/robot/`).

Where the documentation leaves something open, the stand-in takes the strict side: the keyword must be in title and
text, every post to a robot counts towards its twenty a minute.
Pages: https://open.dingtalk.com/document/development/custom-robots-send-group-messages,
…/dingstart/customize-robot-security-settings.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bot.sandbox.dingtalk_messages import USUAL_WORDS, Bad, message_texts
from bot.sandbox.directory import Robot, Session
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

PER_MINUTE = 20
PENALTY_S = 600.0
MAX_BYTES = 20_000
MAX_SKEW_MS = 3_600_000

Style = Literal["zh", "description", "en"]

_STYLES: dict[Style, dict[str, str]] = {
    "zh": {
        "keyword": "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
        "sign": "错误描述:机器人发送签名不匹配;解决方案:请确认签名和生成签名的时间戳必须都放在调用的网址中，"
        "请确认机器人的密钥加密和填写正确;",
        "timestamp": "错误描述:机器人发送签名过期;解决方案:签名生成时间和发送时间请保持在 timestampms 以内;",
        "ip": "错误描述:ip {ip} 不在白名单之中;解决方案:请联系群管理员查看此机器人的 ip 白名单;",
        "size": "错误描述: body 大小不合法;解决方案:请保持大小在 20000bytes 以内;",
    },
    "description": {
        "keyword": "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，"
        "并在发送的信息中包含此关键词;",
        "sign": "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中，"
        "请确认机器人的密钥加密和填写正确;",
        "timestamp": "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内;",
        "ip": "description:ip {ip} 不在白名单之中;solution:请联系群管理员查看此机器人的 ip 白名单;",
        "size": "description: body 大小不合法;solution:请保持大小在 20000bytes 以内;",
    },
    "en": {
        "keyword": "keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "sign": "sign not match, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "timestamp": "invalid timestamp, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "ip": "ip {ip} not in whitelist, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
        "size": "message too long, exceed 20000 bytes",
    },
}


def robot_sign(secret: str, timestamp: str) -> str:
    """The base64 signature of a timestamp (as the text that was sent), before URL encoding; callbacks use the same."""
    key = secret.encode()
    return base64.b64encode(hmac.new(key, f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()).decode()


def _answer(code: int, text: str) -> Answer:
    return json_answer({"errcode": code, "errmsg": text})


class DingTalkRobots:
    """What is posted to an address that needs no access token.

    style    wording of the security refusals: today's, that of 2022, the old English one
    monthly  messages by webhook that the whole organisation may send in a calendar month, None: any number
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.style: Style = "zh"
        self.monthly: int | None = None

    @property
    def _words(self) -> dict[str, str]:
        return _STYLES[self.style]

    def refusal(self, code: int, text: str) -> Answer:
        return _answer(code, text or USUAL_WORDS.get(str(code), self._words["keyword"]))

    def answer(self, request: Request) -> Answer:
        if request.path == "/robot/send":
            return self._send(request)
        if request.path == "/robot/sendBySession":
            return self._send_by_session(request)
        return _answer(404, "请求的URI地址不存在")

    # -- a robot's webhook

    def _send(self, request: Request) -> Answer:
        token = request.query.get("access_token", "")
        robot = self.world.robot("dingtalk", token)
        group = robot.group if robot else ""
        try:
            message, texts = self._checked(request, token, robot)
        except Bad as bad:
            self.world.happen("refused", "dingtalk", group, request.shown, robot=token, note=str(bad.code))
            return _answer(bad.code, bad.text)
        uuid = message.get("msgUuid")
        if uuid is not None:
            key = f"dingtalk:uuid:{token}:{uuid}"
            if self.world.recall(key):
                self.world.happen("repeat", "dingtalk", group, message, robot=token)
                return _answer(0, "ok")
            self.world.remember(key, True)
        self.world.happen("card", "dingtalk", group, message, robot=token, note=texts[0][:80])
        return _answer(0, "ok")

    def _checked(self, request: Request, token: str, robot: Robot | None) -> tuple[dict[str, Any], list[str]]:
        """The message and its texts; raises `Bad` in the order in which the platform looks."""
        _check_method(request)
        if not token:
            raise Bad(40035, "缺少参数 access_token")
        if robot is None:
            raise Bad(300005)
        if not robot.enabled:
            raise Bad(400102)
        if self.world.group("dingtalk", robot.group) is None:
            raise Bad(400013)
        _check_content_type(request)
        self._check_rate(token)
        message = self._message_of(request)
        self._check_sender(robot, request)
        texts = message_texts(message)
        if robot.keywords and not all(any(word in text for word in robot.keywords) for text in texts):
            raise Bad(310000, self._words["keyword"])
        self._check_month()
        return message, texts

    def _check_rate(self, token: str) -> None:
        now = self.world.now()
        if (self.world.recall(f"dingtalk:penalty:{token}") or 0.0) > now:
            raise Bad(130101)
        if self.world.hits(f"dingtalk:robot:{token}", 60.0) >= PER_MINUTE:
            self.world.remember(f"dingtalk:penalty:{token}", now + PENALTY_S)
            raise Bad(130101)
        self.world.hit(f"dingtalk:robot:{token}")

    def _check_sender(self, robot: Robot, request: Request) -> None:
        words = self._words
        if not robot.lets_in(request.client):
            raise Bad(310000, words["ip"].format(ip=request.client))
        if not robot.secret:
            return
        stamp, sign = request.query.get("timestamp", ""), request.query.get("sign", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
            raise Bad(310000, words["sign"])
        if abs(round(self.world.now() * 1000) - int(stamp)) > MAX_SKEW_MS:
            raise Bad(310000, words["timestamp"])
        if not hmac.compare_digest(robot_sign(robot.secret, stamp).encode(), sign.encode()):
            raise Bad(310000, words["sign"])

    def _check_month(self) -> None:
        if self.monthly is None:
            return
        month = datetime.fromtimestamp(self.world.now(), UTC) + timedelta(hours=8)
        key = f"dingtalk:month:{month:%Y-%m}"
        used = self.world.recall(key) or 0
        if used >= self.monthly:
            raise Bad(90030)
        self.world.remember(key, used + 1)

    # -- the session webhook of a conversation

    def _send_by_session(self, request: Request) -> Answer:
        word = request.query.get("session", "")
        session = self.world.session(word)
        try:
            session, message = self._checked_for(session, word, request)
        except Bad as bad:
            place = session.conversation if session else ""
            self.world.happen("refused", "dingtalk", place, request.shown, note=str(bad.code))
            return _answer(bad.code, bad.text)
        self.world.happen("say", "dingtalk", session.conversation, message, person=session.person)
        return _answer(0, "ok")

    def _checked_for(self, session: Session | None, word: str, request: Request) -> tuple[Session, dict[str, Any]]:
        """The session, which is open, and the message; raises `Bad` in the order in which the platform looks."""
        _check_method(request)
        if not word:
            raise Bad(40035, "缺少参数 session")
        if session is None or session.until <= self.world.now():
            raise Bad(300001, "session 不存在")
        _check_content_type(request)
        message = self._message_of(request)
        message_texts(message)
        return session, message

    # -- both

    def _message_of(self, request: Request) -> dict[str, Any]:
        if len(request.body) > MAX_BYTES:
            raise Bad(460101, self._words["size"])
        message = request.json_object()
        if not message:
            raise Bad(40035, "缺少参数 json")
        return message


def _check_method(request: Request) -> None:
    if request.method != "POST":
        raise Bad(43002, "需要POST请求")


def _check_content_type(request: Request) -> None:
    if request.content_type != "application/json":
        raise Bad(43004, "无效的HTTP HEADER Content-Type")
