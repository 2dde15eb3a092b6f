"""Reading contacts from CloudMonitor and DAS: what their bodies say, whole lists, refusals, and what a crash leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import cloudmonitor, das, imports
from bot.aliyun import AccessKey
from bot.aliyun_reading import FREE_CALLS, Account, whole
from bot.http import Http
from bot.sandbox.cloudmonitor import CmsContact
from bot.sandbox.server import StandIns
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World
from handlers import import_orders
from handlers.context import Rules
from handlers.errors import DeliveryError
from handlers.import_books import Book, Entry, Team, Value
from storage import contacts, deliveries, people
from storage.database import Database
from storage.deliveries import DeliveryRow

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
HOOK = "https://oapi.dingtalk.com/robot/send?access_token=EXAMPLE"


class Canned:
    """Answers each action with a body, whoever asks."""

    name = "sms"

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}

    def owns(self, request: Request) -> bool:
        return request.headers.get("x-acs-action") in self.bodies

    def keys(self, _request: Request) -> tuple[str, ...]:
        return ()

    def refusal(self, code: str | int, text: str) -> Answer:
        return json_answer({"Code": code, "Message": text}, 400)

    def answer(self, request: Request) -> Answer:
        found = self.bodies[request.headers["x-acs-action"]]
        number = int(request.query.get("PageNumber", "1"))
        body = found[min(number, len(found)) - 1] if isinstance(found, list) else found
        return body if isinstance(body, Answer) else json_answer(body)


@pytest.fixture(scope="module")
def canned() -> Canned:
    return Canned()


@pytest.fixture(scope="module")
def world() -> World:
    built = World(clock=NOW.timestamp)
    built.add_app("sms", "LTAIread", "cloud-secret")
    return built


@pytest.fixture(scope="module")
def stand_ins(world: World, canned: Canned) -> Iterator[StandIns]:
    with StandIns(world, more=(canned,)) as running:
        yield running


@pytest.fixture(scope="module")
def http(stand_ins: StandIns) -> Iterator[Http]:
    client = Http({cloudmonitor.URL: stand_ins.url, das.URL: stand_ins.url})
    yield client
    client.close()


@pytest.fixture
def account(http: Http) -> Account:
    return Account("CloudMonitor", "cms:Read", http, AccessKey("LTAIread", "cloud-secret"), NOW, lambda _seconds: None)


@pytest.fixture(autouse=True)
def _tidy(world: World, canned: Canned) -> None:
    world.clear()
    canned.bodies.clear()


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text("utf-8"))


def test_the_documented_bodies_of_cloudmonitor(account: Account, canned: Canned) -> None:
    canned.bodies = {
        "DescribeContactList": sample("cms-contact-list.json"),
        "DescribeContactGroupList": sample("cms-contact-group-list.json"),
    }
    assert cloudmonitor.read(account, "2019-01-01") == Book(
        (
            Entry(
                "Alice",
                (
                    Value("Mail", "email", "alice@example.com", "OK"),
                    Value("SMS", "phone", "13900000000", "PENDING"),
                    Value("DingWebHook", "webhook", HOOK, "OK"),
                ),
                ("DBA", "ops"),
            ),
            Entry("Bob", (Value("Mail", "email", "bob@example.com", "PENDING"),), ("DBA",)),
            Entry("Carol", (Value("SMS", "phone", "155*******"),)),
        ),
        (Team("DBA", "database duty", ("Alice", "Bob")), Team("ops", "", ("Alice",))),
    )


def test_the_documented_body_of_das(account: Account, canned: Canned) -> None:
    canned.bodies = {"GetEventSubscription": sample("das-event-subscription.json")}
    values = (
        Value("phone", "phone", "13900000000"),
        Value("email", "email", "alice@example.com"),
        Value("dingtalkHook", "webhook", HOOK),
    )
    assert das.read(account, "rm-uf6example000001") == Book(
        (Entry("Alice", values, ("DBA",)),), (Team("DBA", "database duty", ("Alice", "Bob")),)
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        "not JSON",
        [],
        {"contacts": None, "contactGroups": "x"},
        {"contacts": [7, {"name": None, "phone": {}, "groups": "DBA"}], "contactGroups": [{"contacts": '{"a": 1}'}]},
        '{\\"contacts\\": [{\\"name\\": \\"Ann\\", \\"phone\\": 13900000000}]}',
    ],
)
def test_what_is_not_published_may_be_anything(account: Account, canned: Canned, data: Any) -> None:
    canned.bodies = {"GetEventSubscription": {"Code": "200", "Success": "true", "Data": data}}
    book = das.read(account, "rm-1")
    assert all(isinstance(entry.name, str) for entry in book.contacts)


def pages(*sizes: int, total: object) -> Callable[[int], dict[str, Any]]:
    """A list in pages of those sizes, however large the ones that were asked for; after the last one, empty ones."""
    numbers = iter(range(10_000))
    bodies = [[{"Name": f"P{next(numbers)}"} for _entry in range(size)] for size in sizes]
    return lambda number: {"Total": total, "L": {"C": bodies[number - 1] if number <= len(bodies) else []}}


@pytest.mark.parametrize(
    ("page", "count", "complete"),
    [
        (pages(total=0), 0, True),
        (pages(100, 20, total=120), 120, True),
        (pages(50, 50, 20, total="120"), 120, True),  # a smaller page than was asked for
        (pages(100, 20, total=None), 120, True),
        (pages(100, total=120), 100, False),
        (lambda _number: {"Total": 500, "L": {"C": [{"Name": "always the same"}]}}, 1, False),
        (lambda _number: {"Total": 3}, 0, False),
    ],
)
def test_a_list_is_read_to_its_end(page: Callable[[int], dict[str, Any]], count: int, complete: bool) -> None:
    found = whole(page, "L", "C", total="Total")
    assert (len(found.entries), found.complete) == (count, complete)


def test_calls_are_spread_below_the_account_s_limit(stand_ins: StandIns, world: World, http: Http) -> None:
    stand_ins.cloudmonitor.contacts = [CmsContact(f"P{n}", {}, {}) for n in range(1100)]
    waited: list[float] = []
    key = AccessKey("LTAIread", "cloud-secret")
    read = Account("CloudMonitor", "cms:Read", http, key, NOW, waited.append)
    assert len(cloudmonitor.read(read, "2019-01-01").contacts) == 1100
    assert len(waited) == 12 - FREE_CALLS
    assert min(waited) >= 0.2


REFUSALS = [
    (json_answer({"Code": "Throttling.User"}, 400), "rate_limited", False),
    (json_answer({"Code": "ServiceUnavailable"}, 503), "busy", False),
    (Answer(b"<html>sign in</html>", 200, "text/html"), "busy", False),
    (json_answer([]), "busy", False),
    (json_answer({"Success": False, "Code": "200"}), "busy", False),
    (json_answer({"Success": False, "Code": "InternalError"}), "busy", False),
    (json_answer({"Success": "false", "Code": "AccessForbidden"}), "permission", True),
    (json_answer({"Code": "Forbidden.RAM"}, 403), "permission", True),
    (json_answer({"code": "NoPermission"}, 403), "permission", True),
    (json_answer({"Code": "InvalidAccessKeyId.NotFound"}, 404), "key", True),
    (json_answer({"Code": "SignatureDoesNotMatch"}, 400), "key", True),
    (json_answer({"Code": "InvalidTimeStamp.Expired"}, 400), "clock", True),
    (json_answer({"Code": "ParameterInvalid"}, 400), "unreadable", True),
]


@pytest.mark.parametrize(("body", "reason", "permanent"), REFUSALS)
def test_refusals_are_told_apart(account: Account, canned: Canned, body: Answer, reason: str, permanent: bool) -> None:
    canned.bodies = {"DescribeContactList": body}
    with pytest.raises(DeliveryError) as refused:
        cloudmonitor.read(account, "2019-01-01")
    assert (refused.value.reason, refused.value.permanent) == (reason, permanent)
    assert "cloud-secret" not in str(refused.value.say)


@pytest.mark.parametrize(
    ("key", "reason"),
    [(AccessKey("LTAIread", "wrong"), "key"), (AccessKey("LTAInobody", "x"), "key"), (AccessKey("", ""), "not_set_up")],
)
@pytest.mark.parametrize("api", ["2019-01-01", "2024-03-30"])
def test_the_stand_in_takes_right_signatures_only(http: Http, key: AccessKey, reason: str, api: str) -> None:
    cloud = imports.Cloud(http, key, api, lambda _seconds: None)
    with pytest.raises(DeliveryError) as refused:
        cloud.book("cloudmonitor", NOW)
    assert refused.value.reason == reason


def test_what_was_written_before_a_crash_is_not_written_again(
    stand_ins: StandIns, http: Http, database_url: str
) -> None:
    database = Database(database_url, "key-of-the-crash")
    database.upgrade()
    rules = Rules(admins=frozenset({"dingtalk:corp/admin01"}))
    cloud = imports.Cloud(http, AccessKey("LTAIread", "cloud-secret"), pause=lambda _seconds: None)
    stand_ins.cloudmonitor.contacts = [CmsContact("Ann", {"Mail": "ann@example.com"}, {})]
    with database.write() as tx:
        people.seen(tx, "dingtalk:corp/admin01", "Lin", NOW)
        import_orders.begin_unasked(tx, "cloudmonitor", NOW)

    def rows() -> list[DeliveryRow]:
        with database.read() as tx:
            return [row for number in range(1, 9) if (row := deliveries.by_id(tx, number))]

    (owed,) = rows()
    assert "1 " in imports.carry_out(owed, cloud, database, rules, NOW)
    # The process dies here: the delivery is still to be done, and the next one begins it anew.
    stand_ins.cloudmonitor.contacts = [CmsContact("Bob", {"Mail": "bob@example.com"}, {})]
    assert imports.carry_out(owed, cloud, database, rules, NOW) == ""
    with database.read() as tx:
        assert contacts.names(tx) == ["Ann"]
    assert [row.kind for row in rows()] == ["import", "answer"]
    with database.write() as tx:
        import_orders.begin_unasked(tx, "cloudmonitor", NOW + timedelta(hours=1))
    again = rows()[-1]
    assert "1 " in imports.carry_out(again, cloud, database, rules, NOW)
    with database.read() as tx:
        assert contacts.names(tx) == ["Ann", "Bob"]
    database.close()
