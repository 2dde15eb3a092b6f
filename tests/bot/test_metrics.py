"""The numbers for Prometheus, and who notices a dead loop."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import Heartbeats, Metrics


class Seconds:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_is_stale_after_its_limit_and_not_before() -> None:
    clock = Seconds()
    hearts = Heartbeats(clock)
    hearts.beat("delivery-1")
    hearts.beat("timers")
    clock.now += 30
    hearts.beat("timers")
    assert hearts.stale(clock.now, 30) == []
    assert hearts.stale(clock.now + 1, 30) == ["delivery-1"]
    assert hearts.stale(clock.now + 31, 30) == ["delivery-1", "timers"]
    assert hearts.ages() == {"delivery-1": 30.0, "timers": 0.0}


def test_a_loop_that_ended_as_it_should_is_not_missed() -> None:
    hearts = Heartbeats(Seconds())
    hearts.beat("import")
    hearts.forget("import")
    hearts.forget("import")
    assert hearts.stale(10_000, 1) == []


def test_the_page_has_every_number_under_its_name() -> None:
    clock = Seconds()
    hearts = Heartbeats(clock)
    hearts.beat("timers")
    clock.now += 2
    metrics = Metrics(hearts, lambda: 7)
    metrics.alerts_accepted.labels("grafana", "firing").inc(3)
    metrics.deliveries.labels("dingtalk", "sent").inc()
    metrics.delivery_seconds.observe(0.02)
    metrics.inbound_messages.labels("slack", "handled").inc()
    metrics.http_requests.labels("/alerts", "200").inc()
    page = metrics.render().decode("utf-8")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert samples["callboard_alerts_accepted_total", (("source_kind", "grafana"), ("status", "firing"))] == 3
    assert samples["callboard_deliveries_total", (("channel", "dingtalk"), ("outcome", "sent"))] == 1
    assert samples["callboard_delivery_seconds_count", ()] == 1
    assert samples["callboard_delivery_seconds_bucket", (("le", "0.025"),)] == 1
    assert samples["callboard_delivery_seconds_bucket", (("le", "0.01"),)] == 0
    assert samples["callboard_inbound_messages_total", (("outcome", "handled"), ("platform", "slack"))] == 1
    assert samples["callboard_http_requests_total", (("route", "/alerts"), ("status", "200"))] == 1
    assert samples["callboard_queue_ready", ()] == 7
    assert samples["callboard_thread_heartbeat_age_seconds", (("thread", "timers"),)] == 2


def test_a_queue_that_cannot_be_asked_does_not_cost_the_other_numbers() -> None:
    metrics = Metrics(Heartbeats(), lambda: 1 / 0)
    metrics.http_requests.labels("/healthz", "200").inc()
    page = metrics.render().decode("utf-8")
    assert "callboard_queue_ready NaN" in page
    assert 'callboard_http_requests_total{route="/healthz",status="200"} 1.0' in page


def test_two_services_in_one_process_count_apart() -> None:
    one, other = Metrics(Heartbeats()), Metrics(Heartbeats())
    one.http_requests.labels("/", "200").inc()
    assert b'route="/"' not in other.render()
