"""The environment, read once into a frozen `Settings`. Nothing else in the service looks at environment variables.

A value comes from the environment, else from `.env` in the working directory; what is empty counts as not set. Every
secret can also be given as `NAME_FILE`, the path of a file that holds it (NAME itself wins when both are set in one
place). What is malformed ends up in `SettingsError`, one sentence per setting, without the values of secrets.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import parse_qs, urlsplit

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

KEY_FILE = Path("data/secret_key")
"""Where the key made at first start is kept, below the working directory."""

PERSON = re.compile(r"(slack|dingtalk|wecom|lark):[^\s/,;]+/[^\s/,;]+")
HOST_ENTRY = re.compile(r"(https?://)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?/?")


class SettingsError(Exception):
    """Settings that stop the start; `problems` has one sentence for each, beginning with the setting's name."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def _boolean(value: object) -> object:
    words = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, str):
        if value.lower() not in words:
            raise ValueError("must be 0 or 1")
        return words[value.lower()]
    return value


def _whole(value: object) -> object:
    """Digits only: `int()` alone would also take `1_000` and `٣`."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,12}", value):
        raise ValueError("must be a whole number")
    return value


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _url(value: str) -> str:
    """An http(s) URL, without the slash at its end."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", value) or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// address such as https://callboard.example.com")
    return value.rstrip("/")


def _origin(value: str) -> str:
    """Scheme, host and port of an http(s) URL: an override replaces these three only, so a path is dropped."""
    parts = urlsplit(_url(value))
    return f"{parts.scheme}://{parts.netloc}"


def _database(value: str) -> str:
    """`sqlite:///…` or PostgreSQL through psycopg, which is also what the common short forms mean."""
    for short in ("postgres://", "postgresql://"):
        if value.startswith(short):
            value = "postgresql+psycopg://" + value.removeprefix(short)
    if value.startswith("postgresql+psycopg://") and _port_is_sound(value):
        return value
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return value
    raise ValueError("must be sqlite:///path/to/file.db or postgresql+psycopg://user:password@host/name")


def _port_is_sound(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _smtp(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("smtp", "smtps") or not _port_is_sound(value) or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:587?starttls=1 or smtps://user:password@host:465")
    if parse_qs(parts.query).get("starttls", ["0"])[-1] not in ("0", "1"):
        raise ValueError("must say starttls=1 or starttls=0")
    return value


def _region(value: str) -> str:
    if value.upper() not in SUPPORTED_REGIONS:
        raise ValueError("must be a two-letter region with a numbering plan, such as CN")
    return value.upper()


def _language(value: object) -> object:
    if isinstance(value, str):
        value = value.lower()
        if value not in ("en", "zh"):
            raise ValueError("must be en or zh")
    return value


def _people(value: tuple[str, ...]) -> tuple[str, ...]:
    for person in value:
        if not PERSON.fullmatch(person):
            raise ValueError(f"must list people like slack:T0001/U0001, and {person!r} is not one")
    return value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        if not HOST_ENTRY.fullmatch(entry):
            raise ValueError(f"must list entries like host, host:port or http://host:port, and {entry!r} is not one")
    return tuple(entry.rstrip("/") for entry in value)


def _port(value: int) -> int:
    if not 0 <= value <= 65535:
        raise ValueError("must be between 0 and 65535 (0 takes any free port)")
    return value


def _positive(value: int) -> int:
    if value < 1:
        raise ValueError("must be at least 1 second")
    return value


def _span(value: object) -> object:
    """Seconds, or a number with its unit: `3600`, `90m`, `6h`, `1d`."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,9})\s*([smhd]?)", value.lower())
        if not found:
            raise ValueError("must be a number of seconds, or one like 90m, 6h, 1d")
        return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]
    return value


def _minute(value: int) -> int:
    if value and not 60 <= value <= 365 * 86_400:
        raise ValueError("must be at least one minute and at most a year (0: off)")
    return value


def _capital(value: object) -> object:
    return value.capitalize() if isinstance(value, str) else value


def _instances(value: tuple[str, ...]) -> tuple[str, ...]:
    for instance in value:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?", instance):
            raise ValueError(
                f"must list ids like rm-uf6example000001 (PolarDB: cluster/node), and {instance!r} is not one"
            )
    return value


def _host(value: str) -> str:
    if re.search(r"[\s/@]", value) or "://" in value:
        raise ValueError("must be an address or a host name such as 127.0.0.1")
    return value


def _aes_key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/]{43}", value):
        raise ValueError("must be the 43 characters (letters and digits) shown in the console")
    return value


def _agent_id(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise ValueError("must be the number of the app, such as 1000002")
    return value


def _keyword(value: str) -> str:
    if any(ord(ch) < 32 for ch in value) or len(value) > 100:
        raise ValueError("must be one line of at most 100 characters")
    return value


def _from(value: str) -> str:
    if any(ord(ch) < 32 for ch in value) or "@" not in value:
        raise ValueError("must be a mailbox such as alerts@example.com or Callboard <alerts@example.com>")
    return value


def _or_empty(check: Any) -> AfterValidator:
    """The check, for settings that may be left out (then "")."""
    return AfterValidator(lambda value: check(value) if value else value)


Secret = Annotated[str, Field(default="", repr=False)]
Name = Annotated[str, Field(default="")]
Bool = Annotated[bool, BeforeValidator(_boolean)]
Origin = Annotated[str, _or_empty(_origin)]
AesKey = Annotated[str, _or_empty(_aes_key), Field(default="", repr=False)]
Seconds = Annotated[int, BeforeValidator(_whole)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


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

    database_url: Annotated[str, AfterValidator(_database), Field(repr=False)] = "sqlite:///data/callboard.db"
    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    port: Annotated[int, BeforeValidator(_whole), AfterValidator(_port)] = 8000
    public_url: Annotated[str, _or_empty(_url)] = ""
    secret_key: Secret = ""
    admins: Annotated[Names, AfterValidator(_people)] = ()
    default_region: Annotated[str, AfterValidator(_region)] = "CN"
    default_language: Annotated[Literal["en", "zh"], BeforeValidator(_language)] = "zh"
    das_keyword: Annotated[str, AfterValidator(_keyword)] = "DAS Alarm"
    sandbox: Bool = False
    repeat_interval: Annotated[Seconds, AfterValidator(_positive)] = 14_400
    webhook_hosts: Annotated[Names, AfterValidator(_hosts)] = ()

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
    dingtalk_month: Annotated[int, BeforeValidator(_whole)] = 3_000

    wecom_corp_id: Name = ""
    wecom_agent_id: Annotated[Name, _or_empty(_agent_id)] = ""
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
    lark_month: Annotated[int, BeforeValidator(_whole)] = 10_000

    smtp_url: Annotated[str, _or_empty(_smtp), Field(repr=False)] = ""
    mail_from: Annotated[str, _or_empty(_from)] = ""

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
    das_instances: Annotated[Names, AfterValidator(_instances)] = ()
    das_level: Annotated[Literal["Notice", "Optimization", "Warn", "Critical"], BeforeValidator(_capital)] = "Notice"
    cloudmonitor_api: Literal["2019-01-01", "2024-03-30"] = "2019-01-01"
    sync_every: Annotated[int, BeforeValidator(_span), AfterValidator(_minute)] = 0

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
        try:
            return Path(path).read_text("utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError):
            # The path is not a secret, and without it the sentence would not help.
            raise SettingsError([f"{field_name.upper()}_FILE cannot be read: {path}"]) from None

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


def secret_key(settings: Settings) -> str:
    """The key behind every hash and every encrypted secret: SECRET_KEY, else the one made at first start.

    Two processes that start together agree on one: the file is written aside and then linked into place, and whoever
    comes second reads what the first has put there. Raises SettingsError when the file cannot be made or read.
    """
    if settings.secret_key:
        return settings.secret_key
    try:
        if not KEY_FILE.exists():
            _keep_new_key()
        key = KEY_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError([f"SECRET_KEY is not set and {KEY_FILE} cannot be used: {reason}"]) from None
    if len(key) < 32:
        raise SettingsError([f"SECRET_KEY is not set and {KEY_FILE} holds no whole key: restore it from a backup"])
    return key


def _keep_new_key() -> None:
    KEY_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = KEY_FILE.with_name(f".{KEY_FILE.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, KEY_FILE)
        except FileExistsError:
            return
    finally:
        aside.unlink()
