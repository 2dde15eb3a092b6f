"""One module per alert kind: a request body becomes a list of alerts. Pure.

Beside the kinds: `contract` (what a source is, the limits of an alert) and `reader` (untrusted JSON and forms).
Not here: tokens and HTTP answers (`bot/web`), what becomes of an alert afterwards (`handlers`).
"""

from handlers.sources import alertmanager, cloudmonitor, generic
from handlers.sources.contract import Source

SOURCES: dict[str, Source] = {
    source.name: source for source in (alertmanager.SOURCE, cloudmonitor.SOURCE, generic.SOURCE)
}
