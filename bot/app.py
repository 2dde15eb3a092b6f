"""Where everything is put together: one function's worth of wiring, and the parts that run."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

import bot
from bot.aliyun import AccessKey
from bot.bodies import Bodies
from bot.channels import CHANNELS
from bot.channels.contract import Outside
from bot.delivery.asker import Asker
from bot.delivery.clock import EvenClock, SharedClock
from bot.delivery.compose import Sender
from bot.delivery.replicas import TEND_S, Line, Replicas
from bot.delivery.worker import POLL_S, Worker
from bot.http import Http
from bot.imports import Cloud
from bot.inbox import Inbox
from bot.intake import Intake
from bot.key_file import secret_key
from bot.metrics import Heartbeats, Metrics
from bot.platforms import PLATFORMS, dingtalk, dingtalk_cards, lark, slack, wecom
from bot.platforms.dingtalk_stream import StreamRunner
from bot.platforms.slack_routing import SlackRouting
from bot.platforms.slack_say import SlackCredentials
from bot.platforms.slack_socket import SocketRunner
from bot.rest import Rest
from bot.sandbox import page
from bot.sandbox.playground import Playground
from bot.settings import Settings, months, overrides
from bot.watch import Watch
from bot.web import alerts as alerts_web
from bot.web import confirm, health, robot
from bot.web import dingtalk as dingtalk_web
from bot.web import lark as lark_web
from bot.web import receipts as receipts_web
from bot.web import slack as slack_web
from bot.web import wecom as wecom_web
from bot.web.alerts import refusal
from bot.web.front import Front
from handlers.buttons import ForgedButton
from handlers.context import Rules
from handlers.errors import PayloadError
from handlers.times import zone_of
from storage import deliveries
from storage.database import Database, DatabaseBusy, is_unavailable
from storage.vault import WrongKey

log = logging.getLogger(__name__)

ALL_PARTS = frozenset({"web", "worker"})


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_post_id() -> str:
    """Tells one message that was posted for a robot from every other."""
    return secrets.token_hex(16)


def outside_of(settings: Settings) -> Outside:
    """What the channels may use to reach the world."""
    return Outside(
        http=Http(overrides(settings), open_hosts=settings.webhook_hosts),
        keyword=settings.das_keyword,
        zone=zone_of(settings.default_region),
        smtp_url=settings.smtp_url,
        mail_from=settings.mail_from,
        access_key_id=settings.alibaba_cloud_access_key_id,
        access_key_secret=settings.alibaba_cloud_access_key_secret,
        sms_sign_name=settings.sms_sign_name,
        sms_template_code=settings.sms_template_code,
        sms_template_alert=settings.sms_template_alert,
        voice_template=settings.voice_template,
        voice_shown_number=settings.voice_shown_number,
    )


def cloud_of(settings: Settings, outside: Outside) -> Cloud:
    """The account that contacts and events are read from."""
    return Cloud(outside.http, AccessKey(outside.access_key_id, outside.access_key_secret), settings.cloudmonitor_api)


class CannotStart(Exception):
    """The service cannot be started; the text says why in one sentence, for the operator."""


def opened(settings: Settings, parts: frozenset[str]) -> Database:
    """The database, migrated, with the locks of these parts. Raises CannotStart."""
    database: Database | None = None
    try:
        database = Database(settings.database_url, secret_key(settings))
        for part in sorted(parts):
            database.lock(part)
        database.upgrade()
        database.check_key()
    except DatabaseBusy:
        why = "another Callboard already uses this SQLite file; stop it first, or use PostgreSQL for several."
    except WrongKey:
        why = (
            "SECRET_KEY is not the one this database was written with; give the old one back, "
            "or, to change it, the new key, a comma and the old key."
        )
    except OSError as error:  # of the files beside SQLite's own, as where nothing can be written
        why = f"DATABASE_URL: {error.filename or 'the file'}: {error.strerror or error}"
    except Exception as error:
        if not is_unavailable(error):
            raise
        why = f"the database cannot be used: {str(error).strip().splitlines()[0][:300]}"
    else:
        return database
    if database is not None:
        database.close()
    raise CannotStart(f"Callboard cannot start: {why}")


def credentials_of(settings: Settings) -> dict[str, object]:
    """What each platform needs to speak; those that are not set up are absent."""
    return {
        platform.PLATFORM.name: found
        for platform in (dingtalk, lark, slack, wecom)
        if (found := platform.credentials(settings)) is not None
    }


def rules_of(
    settings: Settings, outside: Outside, credentials: Mapping[str, object], address: str, *, local: bool
) -> Rules:
    """The settings that concern the rules; `address` is where this process listens, `local`: people are there too."""
    ways = {name: PLATFORMS[name].buttons(credentials[name]) for name in credentials}
    missing = {name: lacks for name, channel in CHANNELS.items() if (lacks := channel.missing(outside))}
    return Rules(
        buttons={name: way for name, way in ways.items() if way},
        once=frozenset(name for name in ways if PLATFORMS[name].once),
        forms=frozenset(name for name in ways if PLATFORMS[name].forms),
        pages=local or bool(settings.public_url),
        admins=frozenset(settings.admins),
        region=settings.default_region,
        language=settings.default_language,
        keyword=settings.das_keyword,
        public_url=settings.public_url or address,
        webhook_hosts=settings.webhook_hosts,
        repeat_interval=timedelta(seconds=settings.repeat_interval),
        budgets={name: channel.budgets for name, channel in CHANNELS.items() if name not in missing}
        | {f"chat:{name}": PLATFORMS[name].budgets for name in credentials},
        months=months(settings),
        missing=missing,
        private=frozenset({"dingtalk", "lark", "slack"}) | wecom.private(credentials.get("wecom")),
        version=bot.__version__,
    )


def _reachable(host: str) -> str:
    """The host under which this machine reaches what listens on it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared with, not bound to)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _answer_errors(app: Flask) -> None:
    """What cannot be done is answered in words, as every refusal is; the detail goes to the log."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return refusal(error.code or 500, error.description or error.name)

    @app.errorhandler(Exception)
    def any_error(error: Exception) -> Response:
        if is_unavailable(error):
            log.error("the database is not available", exc_info=error)
            response = refusal(503, "The database is not available right now; try again.")
            response.headers["Retry-After"] = "2"
            return response
        log.error("a request failed", exc_info=error)
        return refusal(500, "Something went wrong on our side; the log says more.")


class Service:
    """The parts that were asked for: `start()` them, serve `app`, `stop()` them.

    `clock` gives the time (aware, UTC); everything that depends on time gets it from here. Without one it is this
    machine's on SQLite, and on PostgreSQL the database's, so that replicas agree whatever their machines say.
    """

    def __init__(
        self,
        settings: Settings,
        parts: frozenset[str] = ALL_PARTS,
        *,
        clock: Callable[[], datetime] | None = None,
        playground: Playground | None = None,
        rules: Mapping[str, Any] | None = None,
        poll_s: float = POLL_S,
        tend_s: float = TEND_S,
    ) -> None:
        """`rules` replaces fields of the rules (random sources) in tests; `poll_s` and `tend_s` say how long something can
        go unnoticed of which no other process told."""
        self.parts = parts
        self.playground = playground
        address = f"http://{_reachable(settings.host)}:{settings.port}"
        if settings.sandbox and self.playground is None and "web" in parts:
            self.playground = Playground()
        if self.playground is not None:
            self.playground.start()
            self.playground.service_url = address
            settings = self.playground.settings(settings)
        self.settings = settings
        self.heartbeats = Heartbeats()
        self.metrics = Metrics(self.heartbeats)
        self.database = opened(settings, parts)
        shared = SharedClock(self.database.now) if clock is None and not self.database.sqlite else None
        even = EvenClock(utc_now) if clock is None and self.database.sqlite and "worker" in parts else None
        clock = clock or shared or even or utc_now
        self.clock = clock
        self.metrics.watch_queue(self._waiting)
        outside = outside_of(settings)
        self.http = outside.http
        self.credentials = credentials_of(settings)
        local = self.playground is not None
        made = rules_of(settings, outside, self.credentials, address, local=local)
        self.rules = replace(made, **(rules or {}))
        cloud = cloud_of(settings, outside)
        sender = Sender(self.database, self.rules, outside, CHANNELS, PLATFORMS, self.credentials, cloud)
        watched: dict[str, Any] = {"clock": clock, "metrics": self.metrics, "heartbeats": self.heartbeats}
        self.worker = Worker(
            self.database,
            self.rules,
            sender,
            alone=self.database.sqlite,
            poll_s=poll_s,
            even=even,
            **watched,
        )
        self.asker = Asker(
            self.database,
            self.rules,
            outside,
            CHANNELS,
            clock=self.clock,
            heartbeats=self.heartbeats,
            wake_worker=self.wake_workers,
        )
        self.watch = Watch(
            self.database,
            self.rules,
            cloud,
            sync_every=timedelta(seconds=settings.sync_every) if settings.sync_every else None,
            instances=settings.das_instances,
            level=settings.das_level,
            wake_worker=self.wake_workers,
            **watched,
        )
        self.replicas: Replicas | None = None
        self.inbox = Inbox(
            self.database, self.rules, wake_worker=self.wake_workers, tell=self._tell, poll_s=poll_s, **watched
        )
        self.intake = Intake(
            self.database,
            repeat=self.rules.repeat_interval,
            wake_worker=self.wake_workers,
            calls="voice" not in self.rules.missing,
            early=self.worker.early if self.database.sqlite and "worker" in parts else None,
            **watched,
        )
        self.slack = self._slack()
        makers = self._lines() if "worker" in parts else {}
        self.lines: dict[str, Line] = {}
        if self.database.sqlite:
            self.lines = {name: make() for name, make in makers.items()}
        else:
            self.replicas = Replicas(
                self.database,
                hear=(self.worker.wake, self.inbox.wake) if "worker" in parts else (),
                lines=makers,
                heartbeats=self.heartbeats,
                clock=shared,
                tend_s=tend_s,
            )
        self.bodies = Bodies(self.database, self.clock)
        self.app = self._web()
        self.front = Front(
            self.app, alerts_web.QuickAlerts(self.intake, self.metrics, clock), health.QuickHealth(self.heartbeats)
        )

    def wake_workers(self) -> None:
        """Something is due: for the worker of this process and those of others; from any thread."""
        self.worker.wake()
        self._tell()

    def _tell(self) -> None:
        if self.replicas is not None:
            self.replicas.tell()

    def _slack(self) -> SlackRouting | None:
        app = self.credentials.get("slack")
        if not isinstance(app, SlackCredentials):
            return None
        inbox = self.inbox
        return SlackRouting(
            app.bot_token, inbox.take_in, inbox.carry_out, self.clock, api_url=self.settings.slack_api_url
        )

    def _lines(self) -> dict[str, Callable[[], Line]]:
        """Makes the connections we hold open to platforms that push through one, each under the name of its heartbeat."""
        settings, slack_routing = self.settings, self.slack
        lines: dict[str, Callable[[], Line]] = {}
        if settings.dingtalk_stream and "dingtalk" in self.credentials:
            lines["dingtalk stream"] = lambda: StreamRunner(
                settings.dingtalk_client_id,
                settings.dingtalk_client_secret,
                self._from_stream,
                api_url=settings.dingtalk_api_url or "https://api.dingtalk.com",
                clock=self.clock,
                beat=lambda: self.heartbeats.beat("dingtalk stream"),
                pressed=self._pressed_in_stream if self.rules.buttons.get("dingtalk") == "press" else None,
            )
        if settings.slack_app_token and slack_routing is not None:
            lines["slack socket"] = lambda: SocketRunner(
                settings.slack_app_token,
                slack_routing.dispatch,
                api_url=settings.slack_api_url,
                beat=lambda: self.heartbeats.beat("slack socket"),
            )
        return lines

    def _waiting(self) -> int:
        with self.database.read() as tx:
            return deliveries.waiting(tx)

    def _from_stream(self, body: Mapping[str, Any]) -> None:
        incoming = dingtalk.decode(body)
        if incoming is not None:
            self.inbox.take_in(incoming)

    def _pressed_in_stream(self, body: Mapping[str, Any], frame: str) -> Mapping[str, Any]:
        """What is answered to the callback of a card; nothing to one that is wrong, as nobody reads the answer."""
        try:
            return dingtalk_cards.pressed(body, f"stream:{frame}"[:255], self.inbox.carry_out)
        except ForgedButton:
            log.warning("DingTalk Stream: a button that is not ours was pressed")
        except PayloadError as error:
            log.warning("DingTalk Stream: a press that cannot be read (%s)", error.path)
        return {}

    def start(self) -> None:
        if self.replicas is not None:
            self.replicas.start()
        if "web" in self.parts:
            self.intake.start()
        if "worker" in self.parts:
            self.inbox.start()
            self.worker.start()
            self.watch.start()
            self.asker.start()
            for line in self.lines.values():
                line.start()

    def stop(self, timeout_s: float) -> None:
        """Nothing new comes in, what was begun ends, what waits stays on disk for the next start."""
        end = time.monotonic() + timeout_s

        def left() -> float:
            return max(0.1, end - time.monotonic())

        for name, line in self.lines.items():
            line.stop(min(2.0, left()))
            self.heartbeats.forget(name)
        if "web" in self.parts:
            self.intake.stop(left())
            self.bodies.flush()
        if self.replicas is not None:
            self.replicas.stop(left())
        if "worker" in self.parts:
            self.watch.stop(left())
            self.inbox.stop(left())
            self.asker.stop(left())
            self.worker.stop(left())
        if self.playground is not None:
            self.playground.stop()
        self.http.close()
        self.database.close()

    def _web(self) -> Flask:
        app = Flask("callboard", static_folder=None)
        app.json.ensure_ascii = False  # type: ignore[attr-defined]
        app.register_blueprint(health.blueprint(self.database, self.metrics, self.heartbeats))
        app.register_blueprint(alerts_web.blueprint(self.intake, self.bodies, self.clock))
        app.register_blueprint(robot.blueprint(self.intake, self.bodies, self.clock, new_post_id))
        app.register_blueprint(receipts_web.blueprint(self.database, self.rules, self.clock, self.wake_workers))
        app.register_blueprint(
            dingtalk_web.blueprint(
                self.settings.dingtalk_client_secret, self.inbox.take_in, self.inbox.carry_out, self.clock
            )
        )
        app.register_blueprint(confirm.blueprint(self.database, self.rules, self.inbox.carry_out, self.clock))
        lark_app = self.credentials.get("lark")
        lark_app = lark_app if isinstance(lark_app, lark.LarkCredentials) else None
        app.register_blueprint(
            lark_web.blueprint(lark_app, self.http, self.inbox.take_in, self.inbox.carry_out, self.clock)
        )
        app.register_blueprint(
            wecom_web.blueprint(
                self.settings.wecom_corp_id,
                wecom.app_envelope(self.settings),
                wecom.robot_envelope(self.settings),
                self.inbox.take_in,
                self.inbox.carry_out,
                Rest(self.database, self.clock, self.wake_workers),
                self.clock,
                self.rules.language,
            )
        )
        app.register_blueprint(slack_web.blueprint(self.settings.slack_signing_secret, self.slack, self.clock))
        if self.playground is not None:
            app.register_blueprint(page.blueprint(self.playground))
        _answer_errors(app)

        @app.after_request
        def count(response: Response) -> Response:
            route = request.url_rule.rule if request.url_rule else "none"
            self.metrics.http_requests.labels(route, str(response.status_code)).inc()
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            return response

        return app
