"""One module per alert kind: a request body becomes a list of alerts. Pure.

Beside the kinds: `contract` (what a source is, the limits of an alert), `reader` (untrusted JSON and forms), `labelled`
(the shape of Prometheus), `arms_webhook` (what ARMS posts, which several kinds take), and what robots of each platform
are sent (`robot_…`).
Not here: tokens and HTTP answers (`bot/web`), what becomes of an alert afterwards (`handlers`).
"""

from handlers.sources import alertmanager, arms, cloudmonitor, das, generic, grafana, robot
from handlers.sources.contract import Source

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        alertmanager.SOURCE,
        grafana.SOURCE,
        cloudmonitor.SOURCE,
        arms.SOURCE,
        das.SOURCE,
        generic.SOURCE,
        robot.SOURCE,
    )
}
