"""Opening the database: durability, locks, keys, transactions."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from storage import contacts, database, sources
from storage.database import Database, DatabaseBusy, NotConfirmed, Tx, is_unavailable
from storage.schema import contact, setting
from storage.session import connect_args
from storage.vault import WrongKey
from tests import postgres
from tests.storage import seed
from tests.storage.seed import NOW

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys
from storage.database import Database
database = Database(sys.argv[1], "key")
database.lock("web")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'folder' / 'callboard.db'}"


def test_sqlite_is_as_durable_as_promised_on_the_connections_that_write_and_read(file_url: str) -> None:
    with seed.opened(file_url) as db:
        for transaction in (db.write, db.read):
            with transaction() as tx:
                pragmas = {
                    name: tx.conn.execute(text(f"PRAGMA {name}")).scalar_one()
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                }
            assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_second_process_on_the_same_sqlite_file_is_refused_until_the_first_is_dead(file_url: str) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, file_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as first,
        seed.opened(file_url) as second,
    ):
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(DatabaseBusy):
            second.lock("web")
        second.lock("worker")  # another part is another lock
        first.kill()
        first.wait()
        second.lock("web")


def test_the_lock_ends_with_close_and_postgresql_needs_none(database_url: str) -> None:
    first, second = Database(database_url, "key"), Database(database_url, "key")
    first.lock("web")
    if first.sqlite:
        with pytest.raises(DatabaseBusy):
            second.lock("web")
    else:
        second.lock("web")
    first.close()
    second.lock("web")
    second.close()


def test_another_key_is_refused_at_the_start_and_a_rotated_one_is_not(database: Database) -> None:
    database.check_key()
    database.check_key()
    for key, fits in ((seed.KEY, True), (f"newer,{seed.KEY}", True), ("newer", False), (f"{seed.KEY} ", True)):
        other = Database(seed.url_of(database), key)
        try:
            if fits:
                other.check_key()
            else:
                with pytest.raises(WrongKey):
                    other.check_key()
        finally:
            other.close()


def test_after_a_rotation_old_rows_open_old_tokens_count_and_a_robot_keeps_its_lane(
    database: Database,
) -> None:
    robot = "https://oapi.dingtalk.com/robot/send?access_token=shared"
    with database.write() as tx:
        old_method = seed.method(tx, seed.contact(tx), address=robot, secret="SECold")
        old_source = seed.source(tx, seed.group(tx, "ops"), token="old-token")
        old_lane = seed.lane_of(tx, old_method)
    rotated = Database(seed.url_of(database), f"newer,{seed.KEY}")
    try:
        with rotated.write() as tx:
            found = contacts.method_by_id(tx, old_method)
            assert found is not None
            assert (found.address, found.secret) == (robot, "SECold")
            by_token = sources.by_token(tx, "old-token")
            assert by_token is not None
            assert by_token.id == old_source.id
            assert sources.by_token(tx, "other-token") is None
            # The same robot at another contact: one lane, or it would be sent twice what it allows.
            assert seed.lane_of(tx, seed.method(tx, seed.contact(tx), address=robot)) == old_lane
            assert seed.lane_of(tx, seed.method(tx, seed.contact(tx), address=f"{robot}2")) != old_lane
            sources.rotate(tx, old_source.id, "fresh-token")
            assert sources.by_token(tx, "old-token") is None
            assert sources.by_token(tx, "fresh-token") is not None
    finally:
        rotated.close()


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    def add_twice() -> None:
        with database.write() as tx:
            contacts.add(tx, "Zhang", "zhang", "p", NOW)
            contacts.add(tx, "ZHANG", "zhang", "p", NOW)

    with pytest.raises(IntegrityError):
        add_twice()
    with database.write() as tx:
        assert contacts.names(tx) == []
        contacts.add(tx, "Zhang", "zhang", "p", NOW)
    with database.read() as tx:
        assert contacts.names(tx) == ["Zhang"]


def test_a_write_inside_a_write_of_the_same_thread_is_refused_at_once(database: Database) -> None:
    with database.write(), pytest.raises(RuntimeError, match="already open"), database.write():
        pass
    with database.write() as tx:  # and the guard is open again
        seed.contact(tx)


def test_readers_see_what_was_committed_and_are_not_held_up_by_a_writer(database: Database) -> None:
    seen: list[int] = []

    def look() -> None:
        with database.read() as tx:
            seen.append(len(tx.conn.execute(select(contact)).all()))

    with database.write() as tx:
        seed.contact(tx)
        reader = threading.Thread(target=look)
        reader.start()
        reader.join(10)
    look()
    assert seen == [0, 1]


def test_a_problem_is_said_in_a_word_or_two(database_url: str) -> None:
    db = Database(database_url, "key")
    try:
        assert db.problem() == "migrations missing"
        db.upgrade()
        assert db.problem() == ""
    finally:
        db.close()


def test_to_ask_for_a_problem_leaves_nothing_and_waits_for_nobody_who_asks_too(database_url: str) -> None:
    first, second = Database(database_url, "key"), Database(database_url, "key")
    try:
        first.upgrade()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(one.problem) for one in (first, second) * 8]
            assert {one.result(30) for one in asked} == {""}
        with first.read() as tx:
            assert tx.conn.execute(select(setting)).all() == []
    finally:
        first.close()
        second.close()


def test_a_server_that_became_read_only_is_a_problem(postgres_url: str) -> None:
    """It answers, and lets a transaction begin and commit."""
    db = Database(postgres_url, "key")
    try:
        db.upgrade()
        assert db.problem() == ""
        name = urlsplit(postgres_url).path.lstrip("/")
        with psycopg.connect(re.sub(r"\+psycopg", "", postgres_url), autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
            db.close()
            assert db.problem() == "read-only"
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
        assert db.problem() == ""
    finally:
        db.close()


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        db = Database(f"postgresql+psycopg://postgres@127.0.0.1:{closed.getsockname()[1]}/x", "key")
        assert db.problem() == "unreachable"
        with pytest.raises(OperationalError) as caught, db.read():
            pass
        assert is_unavailable(caught.value)
        assert not is_unavailable(ValueError())
        db.close()


def test_the_command_migrates_the_database_at_the_url_beside_a_running_service(database_url: str) -> None:
    running = Database(database_url, "key")
    try:
        running.upgrade()
        running.lock("web")
        running.lock("worker")
        running.check_key()
        database.upgrade(database_url)
        assert running.problem() == ""
        running.check_key()
    finally:
        running.close()


def test_of_several_hosts_the_one_that_can_be_written_to_is_used_also_after_every_connection_was_lost(
    postgres_url: str,
) -> None:
    server = urlsplit(postgres_url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # a host on which nobody listens
        hosts = f"host=127.0.0.1:{closed.getsockname()[1]}&host=127.0.0.1:{server.port}"
        url = f"postgresql+psycopg://{server.username}@{server.path}?{hosts}&target_session_attrs=read-write"
        with seed.opened(url) as db:
            with db.write() as tx:
                seed.contact(tx)
                settings = tx.conn.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
            assert settings == "5s"
            with psycopg.connect(re.sub(r"\+psycopg", "", postgres_url)) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            with db.write() as tx:
                seed.contact(tx)
            session = db.session()
            assert session.hold("line")
            session.close()


def test_a_hint_waits_neither_for_the_disk_nor_long_for_others(database: Database) -> None:
    def patience(tx: Tx) -> str:
        return "" if tx.sqlite else str(tx.conn.execute(text("SHOW lock_timeout")).scalar_one())

    with database.write(hint=True) as tx:
        seed.contact(tx)
        hinted = patience(tx)
    with database.write() as tx:
        assert len(contacts.names(tx)) == 1
        assert (hinted, patience(tx)) == (("", "") if tx.sqlite else ("2s", "0"))


def test_options_in_the_url_are_kept_beside_ours() -> None:
    own = connect_args(make_url("postgresql+psycopg://u@h/d?connect_timeout=2&options=-c%20lock_timeout%3D7s"))
    assert own["options"].endswith("-c tcp_user_timeout=10000 -c lock_timeout=7s")
    assert "connect_timeout" not in own


def test_a_server_that_became_a_standby_is_unavailable_and_left_for_the_primary(postgres_url: str) -> None:
    with seed.opened(postgres_url) as db:
        with db.write() as tx:
            before = tx.conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with pytest.raises(DBAPIError) as caught, db.write() as tx:
            tx.conn.execute(text("SET TRANSACTION READ ONLY; DELETE FROM contact"))  # as all are on a standby
        assert is_unavailable(caught.value)
        with db.write() as tx:
            assert tx.conn.execute(text("SELECT pg_backend_pid()")).scalar_one() != before


def test_a_commit_that_did_not_reach_the_synchronous_standby_is_not_confirmed(
    postgres_server: postgres.Server, postgres_url: str
) -> None:
    """PostgreSQL commits, warns, and reports success: whoever gave up the wait (a person, a time-out) decided that."""
    if postgres_server.process is None:
        pytest.skip("the server of TEST_PG_URL is not ours to configure")
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        name = urlsplit(postgres_url).path.lstrip("/")
        with seed.opened(postgres_url):  # its tables are there before anybody has to wait
            admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on'.encode())
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            try:
                waiting = Database(postgres_url, "key")
                with ThreadPoolExecutor(1) as pool:
                    wrote = pool.submit(_write_a_contact, waiting)
                    while not wrote.done():
                        admin.execute(
                            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                        )
                    with pytest.raises(NotConfirmed) as caught:
                        wrote.result()
            finally:
                admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
                admin.execute("SELECT pg_reload_conf()")
            assert is_unavailable(caught.value)
            with waiting.write() as tx:  # on the same connection, which is in order again
                assert len(tx.conn.execute(select(contact)).all()) == 1
            waiting.close()


def _write_a_contact(db: Database) -> None:
    with db.write() as tx:
        seed.contact(tx)
