"""The environment, read once into a frozen `Settings`. Nothing else in the service looks at environment variables.

A value comes from the environment, else from `.env` in the working directory; what is empty counts as not set. Every
secret can also be given as `NAME_FILE`, the path of a file that holds it and is not empty (NAME itself wins when both
are set in one place). What is malformed ends up in `SettingsError`, one sentence per setting, without the values of secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.setting_forms import (
    AesKey,
    AgentId,
    Bool,
    Count,
    DasInstances,
    DasLevel,
    DatabaseUrl,
    Host,
    Hosts,
    Keyword,
    Language,
    Mailbox,
    Name,
    Origin,
    People,
    Port,
    Region,
    Seconds,
    Secret,
    SmtpUrl,
    Span,
    Url,
)


class SettingsError(Exception):
    """Settings that stop the start; `problems` has one sentence for each, beginning with the setting's name."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class Settings(BaseSettings):
    """Every setting under its own name in lower case; "" or () is "not set".

    repeat_interval  seconds before an unchanged firing alert is sent again
    …_month          messages the platform's organisation may send in a calendar month; 0: not metered
    sync_every       seconds between imports from CloudMonitor that nobody asks for; 0: none
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    database_url: DatabaseUrl = "sqlite:///data/callboard.db"
    host: Host = "127.0.0.1"
    port: Port = 8000
    public_url: Url = ""
    secret_key: Secret = ""
    admins: People = ()
    default_region: Region = "CN"
    default_language: Language = "zh"
    das_keyword: Keyword = "DAS Alarm"
    sandbox: Bool = False
    repeat_interval: Seconds = 14_400
    webhook_hosts: Hosts = ()

    slack_bot_token: Secret = ""
    slack_signing_secret: Secret = ""
    slack_app_token: Secret = ""
    slack_api_url: Origin = ""
    slack_hooks_url: Origin = ""

    dingtalk_client_id: Name = ""
    dingtalk_client_secret: Secret = ""
    dingtalk_stream: Bool = False
    dingtalk_card_template: Name = ""
    dingtalk_api_url: Origin = ""
    dingtalk_oapi_url: Origin = ""
    dingtalk_month: Count = 3_000

    wecom_corp_id: Name = ""
    wecom_agent_id: AgentId = ""
    wecom_secret: Secret = ""
    wecom_token: Secret = ""
    wecom_aes_key: AesKey = ""
    wecom_bot_token: Secret = ""
    wecom_bot_aes_key: AesKey = ""
    wecom_api_url: Origin = ""

    lark_app_id: Name = ""
    lark_app_secret: Secret = ""
    lark_encrypt_key: Secret = ""
    lark_verification_token: Secret = ""
    lark_api_url: Origin = ""
    lark_month: Count = 10_000

    smtp_url: SmtpUrl = ""
    mail_from: Mailbox = ""

    alibaba_cloud_access_key_id: Secret = ""
    alibaba_cloud_access_key_secret: Secret = ""
    sms_sign_name: Name = ""
    sms_template_code: Name = ""
    sms_template_alert: Name = ""
    aliyun_sms_url: Origin = ""
    voice_template: Name = ""
    voice_shown_number: Name = ""
    aliyun_voice_url: Origin = ""
    cloudmonitor_url: Origin = ""
    arms_url: Origin = ""
    das_url: Origin = ""
    das_instances: DasInstances = ()
    das_level: DasLevel = "Notice"
    cloudmonitor_api: Literal["2019-01-01", "2024-03-30"] = "2019-01-01"
    sync_every: Span = 0

    @model_validator(mode="after")
    def _both_halves(self) -> Self:
        missing = [
            f"{there.upper()} is set and {absent.upper()} is not: it needs both"
            for one, other in PAIRS
            for there, absent in ((one, other), (other, one))
            if getattr(self, there) and not getattr(self, absent)
        ]
        if self.slack_app_token and not self.slack_bot_token:
            missing.append("SLACK_APP_TOKEN is set and SLACK_BOT_TOKEN is not: it needs both")
        if self.slack_bot_token and not (self.slack_signing_secret or self.slack_app_token):
            missing.append("SLACK_BOT_TOKEN is set: it also needs SLACK_SIGNING_SECRET (or SLACK_APP_TOKEN)")
        if self.dingtalk_card_template and not (self.dingtalk_stream or self.public_url or self.sandbox):
            missing.append("DINGTALK_CARD_TEMPLATE is set: it also needs DINGTALK_STREAM=1 (or PUBLIC_URL)")
        if missing:
            raise ValueError("\n".join(missing))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keyword arguments, then the environment, then `.env`; in each of the two NAME before NAME_FILE."""
        del file_secret_settings
        environment = cast(EnvSettingsSource, env_settings)
        dotenv = cast(DotEnvSettingsSource, dotenv_settings)
        return (
            init_settings,
            environment,
            SecretFiles(settings_cls, environment.env_vars),
            dotenv,
            SecretFiles(settings_cls, dotenv.env_vars),
        )


PAIRS = (
    ("dingtalk_client_id", "dingtalk_client_secret"),
    ("wecom_token", "wecom_aes_key"),
    ("wecom_bot_token", "wecom_bot_aes_key"),
    ("lark_app_id", "lark_app_secret"),
    ("alibaba_cloud_access_key_id", "alibaba_cloud_access_key_secret"),
)
"""Settings that are of no use alone."""

SECRETS: tuple[str, ...] = tuple(name for name, field in Settings.model_fields.items() if not field.repr)
"""Fields that hold something secret: kept out of every repr and log, and accepted as NAME_FILE."""

VENDORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("slack_api_url", ("https://slack.com",)),
    ("slack_hooks_url", ("https://hooks.slack.com",)),
    ("dingtalk_api_url", ("https://api.dingtalk.com",)),
    ("dingtalk_oapi_url", ("https://oapi.dingtalk.com",)),
    ("wecom_api_url", ("https://qyapi.weixin.qq.com",)),
    ("lark_api_url", ("https://open.feishu.cn", "https://open.larksuite.com")),
    ("aliyun_sms_url", ("https://dysmsapi.aliyuncs.com",)),
    ("aliyun_voice_url", ("https://dyvmsapi.aliyuncs.com",)),
    ("cloudmonitor_url", ("https://metrics.cn-hangzhou.aliyuncs.com",)),
    ("arms_url", ("https://alerts.aliyuncs.com",)),
    ("das_url", ("https://das.cn-shanghai.aliyuncs.com",)),
)
"""Which vendor addresses each `…_URL` stands in for."""


def overrides(settings: Settings) -> dict[str, str]:
    """Vendor's address -> the one to use instead (scheme, host and port only), for the outbound HTTP client."""
    return {
        origin: getattr(settings, name) for name, origins in VENDORS for origin in origins if getattr(settings, name)
    }


def months(settings: Settings) -> dict[str, int]:
    """Platform -> messages its organisation may send in a calendar month; those that are not metered are absent."""
    limits = {"dingtalk": settings.dingtalk_month, "lark": settings.lark_month}
    return {platform: limit for platform, limit in limits.items() if limit}


class SecretFiles(PydanticBaseSettingsSource):
    """NAME_FILE for each secret: the file's text, without the line end that editors put there."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self.variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = self.variables.get(f"{field_name}_file")
        if not path or field.repr:
            return None, field_name, False
        # The path is not a secret, and without it the sentences would not help.
        try:
            value = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError([f"{field_name.upper()}_FILE cannot be read: {path}"]) from None
        if not value:  # taken for "not set", another key would be made than the one that was meant to be here
            raise SettingsError([f"{field_name.upper()}_FILE has nothing in it: {path}"])
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value}


def load() -> Settings:
    """The settings of this process. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        problems: list[str] = []
        for detail in error.errors(include_url=False, include_input=False):
            words = detail["msg"].removeprefix("Value error, ")
            if detail["loc"]:
                problems.append(f"{str(detail['loc'][0]).upper()} {_sentence(words)}")
            else:
                problems.extend(words.splitlines())
        raise SettingsError(problems) from None
    except UnicodeDecodeError:
        raise SettingsError([".env is not UTF-8 text"]) from None


def _sentence(words: str) -> str:
    return words.replace("Input should be", "must be")
