"""ARMS: the custom integration of Alert Management, which takes any JSON event.

Page: https://help.aliyun.com/zh/arms/alarm-operation-center/custom-integrations. Fields are mapped in the console; this
integration maps `alertname` and `severity`, flat or nested under `labels`, and asks for them as the real one does.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

MESSAGE_MAX = 15_000
PATH = re.compile(r"/api/v1/(?:integrations/custom|events|cm/callback)/([^/]+)\Z")


def _refuse(code: int, text: str, status: int = 200) -> Answer:
    return json_answer({"code": code, "message": text, "requestId": secrets.token_hex(8)}, status)


class Arms:
    """`alerts.aliyuncs.com`; an integration is a robot of the platform "arms", its key is token and place."""

    name = "arms"

    def __init__(self, world: World) -> None:
        self.world = world

    def owns(self, request: Request) -> bool:
        return request.path.startswith("/api/v1/")

    def keys(self, request: Request) -> tuple[str, ...]:
        match = PATH.match(request.path)
        return (*((f"arms:{match[1]}",) if match else ()), f"arms:{request.path}", "arms")

    def refusal(self, code: str | int, text: str) -> Answer:
        return _refuse(int(code), text or "refused")

    def answer(self, request: Request) -> Answer:
        match = PATH.match(request.path)
        if match is None:
            return _refuse(404, "not found", 404)
        key = match[1]
        robot = self.world.robot("arms", key)
        event = request.shown
        answer = self._judge(request, robot is not None and robot.enabled, event)
        if answer is not None:
            note = str(answer.status)
            self.world.happen("refused", "arms", key, event, robot=key, note=note)
            return answer
        self.world.happen("alert", "arms", key, event, robot=key)
        return json_answer({"code": 200, "message": "success", "requestId": secrets.token_hex(8)})

    def _judge(self, request: Request, known: bool, event: Any) -> Answer | None:
        """The refusal, None when the event is taken."""
        if request.method != "POST":
            return _refuse(405, "method not allowed", 405)
        if not known:
            return _refuse(404, "integration not found")
        if request.content_type != "application/json" or not isinstance(event, dict):
            return _refuse(400, "body is not a JSON object", 400)
        labels, annotations = event.get("labels"), event.get("annotations")
        labels = labels if isinstance(labels, dict) else {}
        annotations = annotations if isinstance(annotations, dict) else {}
        for name in ("alertname", "severity"):
            value = event.get(name, labels.get(name))
            if not isinstance(value, str) or not value:
                return _refuse(601, f"labels.{name} is required")
        if event.get("severity", labels.get("severity")) not in ("critical", "error", "warning", "page", "info"):
            return _refuse(602, "labels.severity is not mapped")
        message = event.get("message", annotations.get("message", ""))
        if not isinstance(message, str) or len(message) > MESSAGE_MAX:
            return _refuse(603, f"annotations.message is longer than {MESSAGE_MAX}")
        return None
