"""Events that were fetched: which alert sources they go to, and which of them are new.

An alert source of kind das that is named like an instance gets the events of that instance and no others; those of
instances without one of their own go to every other source of that kind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from handlers import alerts, names, notices
from handlers.context import Rules
from handlers.document import Document, Paragraph
from handlers.errors import DeliveryError
from handlers.import_wishes import system_name
from handlers.model import Alert
from handlers.texts import _
from storage import alerts as stored
from storage import sources
from storage.alerts import AlertRow
from storage.database import Tx
from storage.sources import SourceRow

KIND = "das"


@dataclass(frozen=True, slots=True)
class Took:
    """The alerts that were new, and the lanes to wake."""

    alerts: tuple[Alert, ...]
    lanes: frozenset[str]


def sources_for(tx: Tx, instance: str, instances: Collection[str]) -> list[SourceRow]:
    """The alert sources that get the events of this instance, of all those that are watched."""
    of_kind = sources.of_kind(tx, KIND)
    own = [source for source in of_kind if names.key(source.name) == names.key(instance)]
    watched = {names.key(one) for one in instances}
    return own or [source for source in of_kind if names.key(source.name) not in watched]


def all_known(tx: Tx, instance: str, instances: Collection[str], report: Sequence[Alert]) -> bool:
    """Whether every source has all of these already."""
    return not any(fresh(tx, source, report) for source in sources_for(tx, instance, instances))


def fresh(tx: Tx, source: SourceRow, report: Sequence[Alert]) -> list[Alert]:
    """Those of the alerts that say something new. The same time is read more than once, which is no repeat of the event."""
    known = stored.newest(tx, source.id, [alert.fingerprint for alert in report]) if report else {}
    return [alert for alert in report if not _said_before(known.get(alert.fingerprint), alert)]


def _said_before(known: AlertRow | None, alert: Alert) -> bool:
    if known is None or (known.status == "firing" and alert.status == "resolved"):
        return False
    # An event with an id of its own happens once; others are told apart by their time.
    return "span_id" in alert.annotations or known.starts_at == alert.starts_at


def about(alert: Alert, instance: str) -> Alert:
    """The alert with its instance, where DAS leaves out what it was asked for."""
    if alert.labels.get("instanceId"):
        return alert
    return replace(alert, labels={**alert.labels, "instanceId": instance})


def accept(
    tx: Tx, instance: str, instances: Collection[str], report: Sequence[Alert], rules: Rules, now: datetime
) -> Took:
    """Takes in what is new for every source of the instance."""
    took: list[Alert] = []
    lanes: set[str] = set()
    for source in sorted(sources_for(tx, instance, instances), key=lambda one: one.id):
        news = fresh(tx, source, report)
        if news and sources.reporting(tx, source.id, (), now) is not None:
            lanes |= alerts.accept(
                tx, source, news, now, rules.repeat_interval, calls="voice" not in rules.missing
            ).lanes
            took += news
    return Took(tuple(took), frozenset(lanes))


def refused(tx: Tx, instance: str, error: DeliveryError, rules: Rules, now: datetime) -> set[str]:
    """Tells the admins, once a day for the same reason, that no events come; the lanes to wake."""
    document = Document(
        _("The events of {source} cannot be read.", source=system_name(f"das:{instance}")),
        (Paragraph(error.say),),
        tone="warning",
    )
    dedupe = f"events:{instance}:{error.reason}:{now.astimezone(rules.zone):%Y-%m-%d}"
    return notices.tell(tx, notices.admins(tx, rules), document, rules, dedupe=dedupe, now=now)
