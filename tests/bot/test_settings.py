"""Reading the environment: what is accepted, what stops the start, and that no secret shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot import settings as module
from bot.settings import PAIRS, SECRETS, Settings, SettingsError, load, months, overrides

AES = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def problems(monkeypatch: pytest.MonkeyPatch, **values: str) -> tuple[str, ...]:
    given(monkeypatch, **values)
    with pytest.raises(SettingsError) as caught:
        load()
    return caught.value.problems


def test_without_any_setting_there_are_working_defaults() -> None:
    settings = load()
    assert settings.database_url == "sqlite:///data/callboard.db"
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8000, "")
    assert (settings.default_region, settings.default_language) == ("CN", "zh")
    assert (settings.das_keyword, settings.repeat_interval, settings.sandbox) == ("DAS Alarm", 14400, False)
    assert settings.admins == settings.webhook_hosts == settings.das_instances == ()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("HOST", "::1", "::1"),
        ("PUBLIC_URL", "https://callboard.example.com/on-call/", "https://callboard.example.com/on-call"),
        ("SANDBOX", "1", True),
        ("SANDBOX", "true", True),
        ("SANDBOX", "False", False),
        ("DEFAULT_REGION", "us", "US"),
        ("DEFAULT_LANGUAGE", "EN", "en"),
        ("DAS_KEYWORD", "数据库 报警", "数据库 报警"),
        ("ADMINS", "slack:T0001/U0001, lark:tenant01/ou_0a1b ,", ("slack:T0001/U0001", "lark:tenant01/ou_0a1b")),
        ("ADMINS", "", ()),
        ("WEBHOOK_HOSTS", "hooks.example.com,10.0.0.1:8080,http://127.0.0.1:9/", None),
        ("DAS_INSTANCES", "rm-1,rm-2", ("rm-1", "rm-2")),
        ("DAS_INSTANCES", "pc-1/pi-1", ("pc-1/pi-1",)),
        ("DAS_LEVEL", "warn", "Warn"),
        ("CLOUDMONITOR_API", "2024-03-30", "2024-03-30"),
        ("SYNC_EVERY", "3600", 3600),
        ("SYNC_EVERY", "6h", 21_600),
        ("SYNC_EVERY", "1d", 86_400),
        ("SYNC_EVERY", "0", 0),
        ("DINGTALK_MONTH", "50000", 50_000),
        ("LARK_MONTH", "0", 0),
        ("SLACK_API_URL", "http://127.0.0.1:9000/api/", "http://127.0.0.1:9000"),
        ("DATABASE_URL", "postgres://u:p%40@db/callboard", "postgresql+psycopg://u:p%40@db/callboard"),
        ("DATABASE_URL", "postgresql://db/callboard", "postgresql+psycopg://db/callboard"),
        ("DATABASE_URL", "postgresql+psycopg:///callboard?host=/run", "postgresql+psycopg:///callboard?host=/run"),
        ("DATABASE_URL", "sqlite:////var/lib/callboard.db", "sqlite:////var/lib/callboard.db"),
        ("SMTP_URL", "smtp://u:p@mail.example.com:587?starttls=1", "smtp://u:p@mail.example.com:587?starttls=1"),
        ("SMTP_URL", "smtps://mail.example.com", "smtps://mail.example.com"),
        ("MAIL_FROM", "alerts@example.com", "alerts@example.com"),
        ("MAIL_FROM", "值班 <alerts@example.com>", "值班 <alerts@example.com>"),
        ("MAIL_FROM", '"Ops, Team" <ops@corp.local>', '"Ops, Team" <ops@corp.local>'),
        ("MAIL_FROM", "callboard@localhost", "callboard@localhost"),
        ("MAIL_FROM", "值班@例子.测试", "值班@例子.测试"),
    ],
)
def test_a_good_value_is_read(name: str, value: str, read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, **{name: value})
    expected = ("hooks.example.com", "10.0.0.1:8080", "http://127.0.0.1:9") if name == "WEBHOOK_HOSTS" else read
    assert getattr(load(), name.lower()) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "8_000"),
        ("PORT", "80.5"),
        ("HOST", "http://127.0.0.1"),
        ("PUBLIC_URL", "callboard.example.com"),
        ("PUBLIC_URL", "ftp://callboard.example.com"),
        ("PUBLIC_URL", "https://user:pw@callboard.example.com"),
        ("PUBLIC_URL", "https://callboard.example.com:port"),
        ("PUBLIC_URL", "https://callboard.example.com?a=b"),
        ("SANDBOX", "maybe"),
        ("DINGTALK_STREAM", "2"),
        ("DEFAULT_REGION", "XX"),
        ("DEFAULT_LANGUAGE", "fr"),
        ("ADMINS", "U0001"),
        ("ADMINS", "slack:U0001"),
        ("ADMINS", "irc:net/nick"),
        ("ADMINS", "slack:T0001/U0001;slack:T0001/U0002 "),
        ("WEBHOOK_HOSTS", "https://user@host"),
        ("WEBHOOK_HOSTS", "host/path"),
        ("DATABASE_URL", "mysql://db/callboard"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "postgresql://db:port/callboard"),
        ("SMTP_URL", "mail.example.com"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://mail.example.com?starttls=perhaps"),
        ("WEBHOOK_HOSTS", "host:0"),
        ("WEBHOOK_HOSTS", "host:99999"),
        ("WEBHOOK_HOSTS", "-foo"),
        ("WEBHOOK_HOSTS", "fine.example.com,a..b"),
        ("WEBHOOK_HOSTS", "[::"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Ops <ops@>"),
        ("MAIL_FROM", "x@"),
        ("MAIL_FROM", "<>@"),
        ("MAIL_FROM", "@"),
        ("MAIL_FROM", "a b@c d <>"),
        ("MAIL_FROM", "Callboard alerts@example.com"),
        ("MAIL_FROM", "Ops, Team <ops@example.com>"),
        ("MAIL_FROM", "ops@example.com, dba@example.com"),
        ("MAIL_FROM", "ops@exa\tmple.com"),
        ("MAIL_FROM", "ops@a..b"),
        ("REPEAT_INTERVAL", "4h"),
        ("DAS_INSTANCES", "rm-1;rm-2"),
        ("DAS_LEVEL", "loud"),
        ("CLOUDMONITOR_API", "2026-01-01"),
        ("SYNC_EVERY", "often"),
        ("SYNC_EVERY", "59"),
        ("SYNC_EVERY", "2y"),
        ("DINGTALK_MONTH", "-1"),
        ("LARK_MONTH", "10,000"),
        ("REPEAT_INTERVAL", "0"),
        ("LARK_API_URL", "open.feishu.cn"),
    ],
)
def test_a_malformed_value_is_named_in_one_sentence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, **{name: value})
    assert len(found) == 1
    assert found[0].startswith(f"{name} must ")
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("PORT", "-1", "from 0 to 65535"),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "eighty", "from 0 to 65535"),
        ("DINGTALK_MONTH", "-5", "from 0 to 999999999"),
        ("LARK_MONTH", "99999999999999", "from 0 to 999999999"),
        ("REPEAT_INTERVAL", "99999999999999", "from 1 to 999999999"),
        ("REPEAT_INTERVAL", "0", "from 1 to 999999999"),
    ],
)
def test_of_a_number_the_sentence_says_what_it_may_be(
    name: str, value: str, range_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = problems(monkeypatch, **{name: value})
    assert found.startswith(f"{name} must be a whole number {range_}")


def test_the_longest_interval_is_still_a_time_that_has_been(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, REPEAT_INTERVAL="999999999")
    assert datetime.now(UTC) - timedelta(seconds=load().repeat_interval) > datetime.min.replace(tzinfo=UTC)


def test_every_problem_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, PORT="x", SANDBOX="x", DEFAULT_LANGUAGE="x")
    assert {line.split()[0] for line in found} == {"PORT", "SANDBOX", "DEFAULT_LANGUAGE"}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("there", [0, 1])
def test_half_a_pair_names_the_other_half(pair: tuple[str, str], there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    value = AES if pair[there].endswith("aes_key") else "value-of-half"
    found = problems(monkeypatch, **{pair[there].upper(): value})
    assert len(found) == 1
    assert pair[1 - there].upper() in found[0]
    assert value not in found[0]


def test_slack_needs_a_token_and_a_way_to_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SLACK_SIGNING_SECRET" in problems(monkeypatch, SLACK_BOT_TOKEN="xoxb-1")[0]
    given(monkeypatch, SLACK_APP_TOKEN="xapp-1")
    assert load().slack_app_token == "xapp-1"
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    assert "SLACK_BOT_TOKEN" in problems(monkeypatch)[0]


def test_a_card_template_needs_a_way_for_presses_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, DINGTALK_CARD_TEMPLATE="t.schema")
    assert found == ("DINGTALK_CARD_TEMPLATE is set: it also needs DINGTALK_STREAM=1 (or PUBLIC_URL)",)
    for name, value in (("DINGTALK_STREAM", "1"), ("PUBLIC_URL", "https://c.example.com"), ("SANDBOX", "1")):
        with monkeypatch.context() as one:
            given(one, **{name: value})
            assert load().dingtalk_card_template == "t.schema"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_come_from_a_file_and_never_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"database_url": "sqlite:///hidden-value.db", "smtp_url": "smtps://hidden-value"}
    value = AES if name.endswith("aes_key") else values.get(name, "hidden-value")
    (tmp_path / "secret").write_text(value + "\n", "utf-8")
    monkeypatch.setenv(f"{name.upper()}_FILE", str(tmp_path / "secret"))
    for one, other in PAIRS:
        for half, mate in ((one, other), (other, one)):
            if half == name:
                monkeypatch.setenv(mate.upper(), AES if mate.endswith("aes_key") else "mate")
    monkeypatch.setenv("SLACK_SIGNING_SECRET" if name != "slack_signing_secret" else "SLACK_BOT_TOKEN", "mate")
    if name == "slack_app_token":
        monkeypatch.setenv("SLACK_BOT_TOKEN", "mate")
    settings = load()
    assert getattr(settings, name) == value
    assert value not in repr(settings)
    assert value not in str(settings)


def test_a_malformed_secret_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, WECOM_AES_KEY="my-own-key", WECOM_TOKEN="t", SMTP_URL="http://user:hunter2@host")
    assert len(found) == 2
    assert "my-own-key" not in "".join(found)
    assert "hunter2" not in "".join(found)


def test_the_value_itself_wins_over_its_file_and_the_environment_over_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from file", "utf-8")
    (tmp_path / ".env").write_text(
        f"SECRET_KEY=from dotenv\nLARK_ENCRYPT_KEY_FILE={tmp_path / 'secret'}\nPORT=9\n", "utf-8"
    )
    assert load().secret_key == "from dotenv"
    assert load().lark_encrypt_key == "from file"
    given(monkeypatch, SECRET_KEY_FILE=str(tmp_path / "secret"), PORT="10")
    assert (load().secret_key, load().port) == ("from file", 10)
    given(monkeypatch, SECRET_KEY="from environment")
    assert load().secret_key == "from environment"


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, SECRET_KEY_FILE="nowhere/key") == ("SECRET_KEY_FILE cannot be read: nowhere/key",)


@pytest.mark.parametrize("content", ["", " \n"])
@pytest.mark.parametrize("name", ["SECRET_KEY", "LARK_ENCRYPT_KEY"])
def test_a_secret_file_with_nothing_in_it_is_named(
    name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for a key that is not set, a new one would be made, which opens nothing of what the old one has closed."""
    (tmp_path / "secret").write_text(content, "utf-8")
    found = problems(monkeypatch, **{f"{name}_FILE": str(tmp_path / "secret")})
    assert found == (f"{name}_FILE has nothing in it: {tmp_path / 'secret'}",)


def test_a_file_is_only_read_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, PORT_FILE="nowhere")
    assert load().port == 8000


def test_unknown_variables_and_lines_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SOMETHING_ELSE=1\n\n# comment\nexport PORT='81'\n", "utf-8")
    given(monkeypatch, CALLBOARD_WHATEVER="1")
    assert load().port == 81


def test_a_dotenv_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load()


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # that it is refused is the test


def test_an_override_stands_in_for_every_address_of_its_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert overrides(load()) == {}
    given(monkeypatch, LARK_API_URL="http://127.0.0.1:1", DINGTALK_OAPI_URL="http://127.0.0.1:2/")
    assert overrides(load()) == {
        "https://open.feishu.cn": "http://127.0.0.1:1",
        "https://open.larksuite.com": "http://127.0.0.1:1",
        "https://oapi.dingtalk.com": "http://127.0.0.1:2",
    }
    addresses = {name for name, _ in module.VENDORS}
    assert addresses == {name for name in module.Settings.model_fields if name.endswith("_url")} - {
        "database_url",
        "public_url",
        "smtp_url",
    }


def test_platforms_are_metered_as_in_their_free_editions_and_zero_means_not_at_all() -> None:
    assert months(Settings(_env_file=None)) == {"dingtalk": 3_000, "lark": 10_000}
    assert months(Settings(_env_file=None, dingtalk_month=0, lark_month=7)) == {"lark": 7}
