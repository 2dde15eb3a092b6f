"""Every kind of alert source: added in chat, its real body posted to the URL, the card in the group, and its end."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import requests

from tests.stories.conftest import GROUP, ROBOT_SECRET, ROBOT_URL, Town, words

FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"


def with_robot(town: Town) -> None:
    """A group dba with the DingTalk robot in it."""
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("group create dba members Team")


def post(town: Town, path: str, file: str, content_type: str) -> requests.Response:
    raw = (FIXTURES / file).read_bytes()
    return requests.post(town.url + path, data=raw, headers={"Content-Type": content_type}, timeout=20)


def cards(town: Town, after: int) -> list[str]:
    town.quiet()
    return [words(event.body) for event in town.world.cards("dingtalk") if event.seq > after]


JSON = "application/json"
# Unless somebody changes it, ARMS sends its JSON as plain text.
PLAIN = "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    ("kind", "firing", "resolved", "content_type", "badge", "parts"),
    [
        (
            *("grafana", "v11-firing.json", "v11-resolved.json", JSON, "CRITICAL"),
            ("Replication of db2 lags", "db2 is 312 s behind", "db2:9104", "B = 312.5, C = 1", "viewPanel=4"),
        ),
        (
            *("grafana", "legacy-alerting.json", "legacy-ok.json", JSON, "CRITICAL"),
            ("Replication lag", "A replica is behind its primary.", "db2:9104", "lag = 312.5"),
        ),
        (
            *("arms", "webhook-firing.json", "webhook-resolved.json", PLAIN, "WARNING"),
            ("RDS CPU 使用率", "97.39%", "rm-uf6example000001", "alerts.console.aliyun.com"),
        ),
        (
            *("das", "event-firing.json", "event-resolved.json", JSON, "CRITICAL"),
            ("Metric Exception: orders-primary", "far above its forecast", "rm-uf6example000001", "97.39"),
        ),
    ],
    ids=["grafana", "grafana-legacy", "arms", "das"],
)
def test_an_alert_of_each_kind_becomes_a_card_and_its_end_another(
    kind: str, firing: str, resolved: str, content_type: str, badge: str, parts: tuple[str, ...], town: Town
) -> None:
    with_robot(town)
    path = town.source("dba", kind, "monitor")
    after = town.world.last
    answer = post(town, path, f"{kind}/{firing}", content_type)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "alerts": [1]})
    [card] = cards(town, after)
    for part in (badge, "#1", "monitor", *parts):
        assert part in card, part
    assert "_aliyun" not in card, "what ARMS adds for itself is not for people"

    again = post(town, path, f"{kind}/{firing}", content_type)
    assert again.json() == {"accepted": 1, "alerts": [1]}
    assert len(cards(town, after)) == 1, "the same report is counted and not sent"

    assert post(town, path, f"{kind}/{resolved}", content_type).json() == {"accepted": 1, "alerts": [1]}
    recovery = cards(town, after)[1]
    for part in ("RESOLVED", "#1", parts[0]):
        assert part in recovery, part
    assert "No alert is open" in town.say("alerts")


def test_the_test_of_the_arms_console_is_shown_and_leaves_nothing_open(town: Town) -> None:
    with_robot(town)
    for number, (kind, file) in enumerate(product(("arms", "das"), ("test-body.txt", "test-template.txt"))):
        path = town.source("dba", kind, f"monitor-{number}")
        after = town.world.last
        assert post(town, path, f"arms/{file}", PLAIN).status_code == 200
        [card] = cards(town, after)
        assert "Test from the ARMS console received" in card, (kind, file)
        assert "No alert is open" in town.say("alerts"), (kind, file)


def test_a_wrong_body_is_answered_with_the_path_of_the_wrong_field(town: Town) -> None:
    with_robot(town)
    wrong: tuple[tuple[str, object, str], ...] = (
        ("grafana", {"alerts": [{"values": 5}]}, "$.alerts[0].values"),
        ("arms", {"alerts": [{}, {"status": "burning"}]}, "$.alerts[1].status"),
        ("das", {"Data": {"List": {"T": [5]}}}, "$.Data.List.T[0]"),
    )
    for kind, body, path in wrong:
        answer = town.alert(town.source("dba", kind, f"monitor-{kind}"), body)
        assert (answer.status_code, answer.json()["path"]) == (400, path)
    assert "No alert is open" in town.say("alerts")
