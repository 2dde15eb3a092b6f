"""Our app as it is installed on the stand-ins, and the settings that lead the service to them."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from bot.sandbox.cast import CORPS, admins_on
from bot.sandbox.directory import App
from bot.sandbox.server import SMS_SIGNATURE, SMS_TEMPLATES, VOICE_TEMPLATES, StandIns
from bot.sandbox.slack_app import Workspace
from bot.sandbox.wecom_client import Keys
from bot.settings import Settings

WECOM_AGENT = "1000002"
CARD_TEMPLATE = "sandbox.schema"

CREDENTIALS: dict[str, tuple[str, ...]] = {
    "dingtalk": ("dingtalk_client_id", "dingtalk_api_url", "dingtalk_oapi_url"),
    "wecom": ("wecom_corp_id", "wecom_agent_id", "wecom_secret", "wecom_token", "wecom_bot_token", "wecom_api_url"),
    "lark": ("lark_app_id", "lark_encrypt_key", "lark_verification_token", "lark_api_url"),
    "slack": ("slack_bot_token", "slack_signing_secret", "slack_app_token", "slack_api_url", "slack_hooks_url"),
    "mail": ("smtp_url",),
    "alibaba": (
        "alibaba_cloud_access_key_id",
        "aliyun_sms_url",
        "aliyun_voice_url",
        "cloudmonitor_url",
        "arms_url",
        "das_url",
    ),
}
"""Settings of which one is enough to make a platform a real one, which is never replaced.

"alibaba" is SMS, calls, ARMS, CloudMonitor and DAS together: they share one account.
"""

URLS: dict[str, tuple[str, ...]] = {
    "dingtalk": ("dingtalk_api_url", "dingtalk_oapi_url"),
    "wecom": ("wecom_api_url",),
    "lark": ("lark_api_url",),
    "slack": ("slack_api_url", "slack_hooks_url"),
    "mail": (),
    "alibaba": ("aliyun_sms_url", "aliyun_voice_url", "cloudmonitor_url", "arms_url", "das_url"),
}
"""The addresses of each platform that lead to the stand-ins instead."""


def not_configured(settings: Settings) -> frozenset[str]:
    """The platforms that stand-ins may stand for."""
    return frozenset(
        platform for platform, names in CREDENTIALS.items() if not any(getattr(settings, name) for name in names)
    )


class Installation:
    """Credentials that the stand-ins accept, new each time: they are all that keeps somebody else on this machine from
    signing callbacks."""

    def __init__(self, stand_ins: StandIns) -> None:
        world = stand_ins.world
        self._stand_ins = stand_ins
        self.dingtalk: App = world.add_app("dingtalk", "dingsandboxbot", secrets.token_urlsafe(32), CORPS["dingtalk"])
        stand_ins.dingtalk.templates.add(CARD_TEMPLATE)
        self.wecom: App = world.add_app("wecom", WECOM_AGENT, secrets.token_urlsafe(32), CORPS["wecom"])
        self.wecom_keys = Keys(secrets.token_hex(12), _aes_key(), CORPS["wecom"])
        self.robot_keys = Keys(secrets.token_hex(12), _aes_key())
        self.lark: App = world.add_app("lark", "cli_sandbox", secrets.token_urlsafe(24), CORPS["lark"])
        self.lark_key, self.lark_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.slack: Workspace = stand_ins.slack_app.install(
            Workspace(
                team=CORPS["slack"],
                app_id="ASANDBOX1",
                bot="USANDBOXBOT",
                bot_token=f"xoxb-{secrets.token_hex(16)}",
                signing_secret=secrets.token_hex(16),
                app_token=f"xapp-{secrets.token_hex(16)}",
            )
        )
        self.alibaba: App = world.add_app("sms", "LTAIsandbox", secrets.token_urlsafe(24))

    def applied_to(self, settings: Settings, platforms: frozenset[str]) -> Settings:
        """A copy in which those platforms lead to the stand-ins, which must be running."""
        here = [one for platform in CORPS if platform in platforms for one in admins_on(platform)]
        update: dict[str, Any] = {
            "admins": (*settings.admins, *(one for one in here if one not in settings.admins)),
        }
        for platform in platforms:
            update |= dict.fromkeys(URLS[platform], self._stand_ins.url)
            update |= self._on(platform, settings)
        return settings.model_copy(update=update)

    def _on(self, platform: str, settings: Settings) -> dict[str, Any]:
        """What the service is configured with on that platform besides addresses; callbacks come by HTTP."""
        match platform:
            case "dingtalk":
                return {
                    "dingtalk_client_id": self.dingtalk.client_id,
                    "dingtalk_client_secret": self.dingtalk.client_secret,
                    "dingtalk_stream": False,
                    "dingtalk_card_template": CARD_TEMPLATE,
                }
            case "wecom":
                return {
                    "wecom_corp_id": self.wecom.corp,
                    "wecom_agent_id": self.wecom.client_id,
                    "wecom_secret": self.wecom.client_secret,
                    "wecom_token": self.wecom_keys.token,
                    "wecom_aes_key": self.wecom_keys.aes_key,
                    "wecom_bot_token": self.robot_keys.token,
                    "wecom_bot_aes_key": self.robot_keys.aes_key,
                }
            case "lark":
                return {
                    "lark_app_id": self.lark.client_id,
                    "lark_app_secret": self.lark.client_secret,
                    "lark_encrypt_key": self.lark_key,
                    "lark_verification_token": self.lark_token,
                }
            case "slack":
                return {
                    "slack_bot_token": self.slack.bot_token,
                    "slack_signing_secret": self.slack.signing_secret,
                }
            case "mail":
                return {
                    "smtp_url": self._stand_ins.smtp_url,
                    "mail_from": settings.mail_from or "Callboard <callboard@example.com>",
                }
            case "alibaba":
                code, alert = SMS_TEMPLATES
                return {
                    "alibaba_cloud_access_key_id": self.alibaba.client_id,
                    "alibaba_cloud_access_key_secret": self.alibaba.client_secret,
                    "sms_sign_name": SMS_SIGNATURE,
                    "sms_template_code": code.code,
                    "sms_template_alert": alert.code,
                    "voice_template": next(iter(VOICE_TEMPLATES)),
                }
        raise LookupError(f"no platform {platform!r}")


def _aes_key() -> str:
    """43 characters, as WeCom's console makes them."""
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
