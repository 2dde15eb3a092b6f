"""Addresses people give: checked, brought into one form, and masked for showing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from handlers import webhooks
from handlers.errors import CommandError
from handlers.texts import Say, _

EMAIL = "email"
PHONE = "sms"
WEBHOOKS = ("dingtalk", "wecom", "lark", "slack", "arms")

_NOT_VALID: dict[int, Say] = {
    phonenumbers.ValidationResult.TOO_SHORT: _("it is too short"),
    phonenumbers.ValidationResult.TOO_LONG: _("it is too long"),
    phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: _("no country has this code"),
    phonenumbers.ValidationResult.INVALID_LENGTH: _("it has the wrong length"),
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: _("the area code is missing"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its one form: E.164, a mailbox, or the canonical webhook URL; and how it is shown to others."""

    channel: str
    value: str
    masked: str


def channel_name(channel: str) -> Say:
    """What people call a channel."""
    names: dict[str, Say] = {
        PHONE: _("phone"),
        EMAIL: _("email"),
        "voice": _("phone call"),
        "dingtalk": _("DingTalk robot"),
        "wecom": _("WeCom robot"),
        "lark": _("Lark robot"),
        "slack": _("Slack webhook"),
        "arms": "ARMS",
        "cloudmonitor": _("CloudMonitor"),
        "das": "DAS",
    }
    return names.get(channel, channel)


def phone(text: str, region: str) -> Address:
    """A phone number, read with the region's plan where it has no `+`. Raises CommandError with the reason."""
    example = "+86 138 0013 8000"
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise CommandError(
            _("“{text}” is not a phone number. Example: {example}", text=text, example=example)
        ) from None
    if not phonenumbers.is_valid_number(number):
        possible = phonenumbers.is_possible_number_with_reason(number)
        why = _NOT_VALID.get(possible, _("no such number exists in {region}", region=_region(number, region)))
        raise CommandError(
            _("“{text}” is not a valid phone number: {why}. Example: {example}", text=text, why=why, example=example)
        )
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Address(PHONE, value, mask_phone(value))


def _region(number: phonenumbers.PhoneNumber, default: str) -> str:
    code = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return default if code in (None, "ZZ") else str(code)


def email(text: str) -> Address:
    """A mailbox, checked for syntax only. Raises CommandError with the reason."""
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        raise CommandError(
            _("“{text}” is not an email address. Example: {example}", text=text, example="zhang.wei@example.com")
        ) from None
    return Address(EMAIL, found.normalized, mask_email(found.normalized))


def webhook(text: str, extra_hosts: Collection[str]) -> Address:
    """A robot's webhook URL. Raises CommandError with the reason."""
    found = webhooks.channel_of(text, extra_hosts)
    return Address(found.channel, found.url, webhooks.masked(found.url))


def mask_phone(e164: str) -> str:
    """`138****5678` for mainland numbers, `+1415****2671` for others."""
    national = e164.removeprefix("+86")
    if national != e164 and len(national) == 11:
        return f"{national[:3]}****{national[-4:]}"
    return f"{e164[: max(3, len(e164) - 8)]}****{e164[-4:]}"


def mask_email(mailbox: str) -> str:
    """`z***@example.com`."""
    local, _at, domain = mailbox.rpartition("@")
    return f"{local[:1]}***@{domain}"
