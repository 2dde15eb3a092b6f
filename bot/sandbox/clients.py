"""What the players have in their hands: each platform's client, passing on what they type and press."""

from __future__ import annotations

from bot.sandbox.cast import Chat
from bot.sandbox.dingtalk_client import DingTalkClient
from bot.sandbox.installation import Installation
from bot.sandbox.lark_client import LarkClient
from bot.sandbox.server import StandIns
from bot.sandbox.slack_app import SlackClient
from bot.sandbox.wecom_client import WeComClient


class Clients:
    """All of them, for a service that listens at `service_url`."""

    def __init__(self, stand_ins: StandIns, installed: Installation, service_url: str) -> None:
        world = stand_ins.world
        self.service_url = service_url
        self.dingtalk = stand_ins.dingtalk_client(service_url, installed.dingtalk)
        self.wecom = WeComClient(
            world,
            service_url,
            installed.wecom.corp,
            installed.wecom.client_id,
            installed.wecom_keys,
            installed.robot_keys,
            robot_name="Callboard",
        )
        self.lark = LarkClient(
            world,
            service_url,
            installed.lark,
            encrypt_key=installed.lark_key,
            verification_token=installed.lark_token,
        )
        self.slack = SlackClient(stand_ins.slack_app, service_url, installed.slack)

    def of(self, platform: Chat) -> DingTalkClient | WeComClient | LarkClient | SlackClient:
        match platform:
            case "dingtalk":
                return self.dingtalk
            case "wecom":
                return self.wecom
            case "lark":
                return self.lark
            case "slack":
                return self.slack

    def close(self) -> None:
        for client in (self.dingtalk, self.wecom, self.lark, self.slack):
            client.close()
