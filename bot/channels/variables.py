"""What the templates of SMS and calls have as variables, as it is; each channel brings it into its own form."""

from __future__ import annotations

from datetime import tzinfo

from bot.channels.contract import Message

OBJECTS = ("instance", "instanceId", "instance_id", "host", "hostname", "pod", "node", "service", "job")


def variables(message: Message, zone: tzinfo, time: str) -> dict[str, str]:
    """name, level, instance, time (in the form `time`), group, id; what is not known is empty."""
    alert = message.alert
    labels = alert.labels if alert else {}
    since = alert.starts_at if alert and alert.starts_at else message.now
    return {
        "name": str(alert.title if alert else message.document.title),
        "level": str(message.document.badge) or (alert.severity if alert else ""),
        "instance": next((labels[key] for key in OBJECTS if labels.get(key)), ""),
        "time": since.astimezone(zone).strftime(time),
        "group": message.group,
        "id": str(message.number) if message.number is not None else "",
    }
