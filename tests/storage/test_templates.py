"""Templates of a source in the database."""

from __future__ import annotations

from storage import sources, templates
from storage.database import Database
from storage.templates import FAILURE_MAX_CHARS
from tests.storage import seed
from tests.storage.seed import LEASE, NOW


def test_a_template_is_set_fails_is_set_anew_and_goes_with_its_source(database: Database) -> None:
    with database.write() as tx:
        source = seed.source(tx, seed.group(tx, "dba"))
        other = seed.source(tx, seed.group(tx, "ops"), name="other")
        for part in ("title", "text"):
            templates.put(tx, source.id, part, f"old {part}", "slack:T/U", NOW)
            templates.put(tx, other.id, part, "x", "slack:T/U", NOW)
        text, title = templates.of_source(tx, source.id)
        templates.failed(tx, title, "long " * 999, NOW)
        assert [row.failure and len(row.failure) for row in templates.of_source(tx, source.id)] == [
            None,
            FAILURE_MAX_CHARS,
        ]
        templates.put(tx, source.id, "title", "new title", "slack:T/V", NOW + LEASE)
        templates.failed(tx, title, "late news of the old one", NOW + LEASE)
        fresh = templates.of_source(tx, source.id)[1]
        assert (fresh.body, fresh.set_by, fresh.failed_at, fresh.failure) == ("new title", "slack:T/V", None, None)
        templates.clear(tx, source.id, "title")
        assert templates.of_source(tx, source.id) == [text]
        sources.remove(tx, source.id)
        assert templates.of_source(tx, source.id) == []
        assert len(templates.of_source(tx, other.id)) == 2
