"""The JDBC way in through a real driver: PostgreSQL's, on a PostgreSQL with the same tables.

What is particular to Xactly's own driver is in test_jdbc.py. One process has one Java machine, so
these tests share it, and those of signals and of Java itself run the tap as a process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.process import wait_until
from sandbox.vendors.xactly_data import ZONED
from sandbox.vendors.xactly_tables import TABLES
from tap_xactly.tap import TapXactly
from tapsupport.errors import TapError

if TYPE_CHECKING:
    import psycopg

    from conftest import Source
    from sandbox.postgres import Connection

BIN = Path(sys.executable).parent
JAR = Path(os.environ.get("TAP_XACTLY_TEST_JDBC_DRIVER", "/usr/share/java/postgresql.jar"))
DRIVER = "org.postgresql.Driver"
TABLE = "xc_credit_adjustment"
KEY = "CREDIT_ADJUSTMENT_ID"
DUCKDB_TO_POSTGRES = {"TIMESTAMP": "timestamp", "VARCHAR": "text", "BIGINT": "bigint"}

pytestmark = [
    pytest.mark.skipif(
        shutil.which("java") is None, reason="there is no Java on PATH to run a JDBC driver"
    ),
    pytest.mark.skipif(
        not JAR.is_file(),
        reason=f"PostgreSQL's JDBC driver is not at {JAR}: install Debian's "
        "libpostgresql-jdbc-java, or set TAP_XACTLY_TEST_JDBC_DRIVER",
    ),
]


@dataclass(frozen=True)
class Database:
    """A PostgreSQL that holds what the stand-in holds, in a schema of the same name."""

    source: Source
    connection: Connection

    @property
    def settings(self) -> dict[str, Any]:
        """What the tap needs to go through the driver."""
        at = self.connection
        return {
            "backend": "jdbc",
            "jdbc_driver_path": str(JAR),
            "jdbc_driver_class": DRIVER,
            "jdbc_url": f"jdbc:postgresql://{at.host}:{at.port}/{at.database}",
            "username": at.user,
            "password": at.password,
        }

    def copy(self, *tables: str) -> None:
        """Make tables with the stand-in's columns and rows; dates that it sends with a Z are so."""
        with self.connection.connect() as postgres:
            postgres.execute("CREATE SCHEMA IF NOT EXISTS xactly")
            for table in tables:
                self._copy(postgres, table)

    def run(self, statement: str) -> list[Any]:
        with self.connection.connect() as postgres:
            cursor = postgres.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[Any]:
        """What the tap's connections do; others have another name."""
        return self.run(
            "SELECT state, wait_event_type FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'PostgreSQL JDBC%'"
        )

    def are_closed(self) -> bool:
        """A closed connection shows a moment longer."""
        return wait_until(lambda: self.sessions() == [], lambda: True)

    def _copy(self, postgres: psycopg.Connection, table: str) -> None:
        data = self.source.vendor.data
        columns = ", ".join(
            f"{name} {_type(name, kind)}" for name, kind, *_ in data.run(f"DESCRIBE {table}")[1]
        )
        postgres.execute(f"CREATE TABLE xactly.{table} ({columns})")
        with postgres.cursor().copy(f"COPY xactly.{table} FROM STDIN") as copy:
            for row in data.run(f"SELECT * FROM {table}")[1]:
                copy.write_row(row)


def _type(name: str, duckdb_type: str) -> str:
    if name in ZONED:
        return "timestamptz"
    return DUCKDB_TO_POSTGRES.get(duckdb_type, "numeric")


@pytest.fixture
def database(source: Source, postgres_database: Connection) -> Database:
    return Database(source, postgres_database)


def start(database: Database, *tables: str) -> subprocess.Popen[bytes]:
    """Run the tap as a process."""
    source = database.source
    files = {
        "config": source.config(**database.settings),
        "catalog": source.catalog(*tables),
    }
    words = [str(BIN / "tap-xactly")]
    for name, content in files.items():
        path = source.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        words += [f"--{name}", str(path)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def same_by_both_ways(database: Database, *tables: str, **options: Any) -> None:
    source = database.source
    over_java = source.sync(*tables, lane="arrow", **options | database.settings)
    over_https = source.sync(*tables, lane="arrow", **options)

    for table in tables:
        found, wanted = over_java.table(table), over_https.table(table)
        assert found.equals(wanted), f"{table}: {found.schema} {wanted.schema}"
        assert found.num_rows == source.vendor.data.size
    assert database.are_closed()


@pytest.mark.parametrize(
    ("zone", "tables"),
    [
        ("UTC", (TABLE, "xc_credit", "xc_quota_hist", "xc_quota_relationship", "xc_participant")),
        ("America/Los_Angeles", ("xc_quota_hist",)),
    ],
)
def test_both_ways_give_identical_tables(
    database: Database, zone: str, tables: tuple[str, ...]
) -> None:
    """Rows in the same order, amounts to the last digit, dates with a zone and without."""
    database.copy(*tables)

    same_by_both_ways(database, *tables, statement_rows=17, result_rows=7, time_zone=zone)


def test_all_42_tables_can_be_read(database: Database) -> None:
    """Every statement that is made is one that a database with these columns takes."""
    database.source.vendor.data.size = 3
    database.copy(*TABLES)

    same_by_both_ways(database, *sorted(set(TABLES) - {"xc_credit_summary", "xc_quota_summary"}))
    result = database.source.sync("xc_credit_summary", "xc_quota_summary", **database.settings)
    assert len(result.of_type("RECORD")) == 6


@pytest.mark.slow
def test_both_ways_give_the_same_200_000_rows(database: Database) -> None:
    """Of a table that has amounts, dates with a zone and dates without."""
    table = "xc_comp_order_item_detail"
    database.source.vendor.data.size = 200_000
    database.copy(table)

    same_by_both_ways(database, table, result_rows=1000, time_zone="America/Los_Angeles")


def test_windows_without_or(database: Database) -> None:
    database.copy(TABLE)

    same_by_both_ways(database, TABLE, paging="windows", statement_rows=100)


def test_text_keys_with_quotes_are_gone_on_from(database: Database) -> None:
    table = "xc_quota_relationship"
    keys = ["a'b", "''", "z", "é", "😀", "a b"]
    data = database.source.vendor.data
    data.run(f"DELETE FROM {table}")
    data.insert(table, [{"QUOTA_RELATIONSHIP_ID": k, "MODIFIED_DATE": "2026-01-05"} for k in keys])
    database.copy(table)

    result = database.source.sync(table, statement_rows=1, **database.settings)

    assert sorted(r["QUOTA_RELATIONSHIP_ID"] for r in result.records(table)) == sorted(keys)


def test_threads_do_not_add_up_in_java(database: Database) -> None:
    """Each statement has a thread of its own, and Java would remember each one for ever."""
    database.copy(TABLE)
    database.source.sync(TABLE, **database.settings)
    import jpype  # noqa: PLC0415 - Java runs now

    beans = jpype.JClass("java.lang.management.ManagementFactory").getThreadMXBean()
    before = beans.getThreadCount()
    database.source.sync(TABLE, statement_rows=2, **database.settings)

    assert beans.getThreadCount() - before < 10  # there were thirty statements


def test_a_refused_login_names_no_secret(database: Database, naps: list[float]) -> None:
    database.copy(TABLE)
    settings = database.settings | {"password": "old-password"}

    _, error = database.source.fail(TABLE, "xc_quota", **settings)

    assert 'password authentication failed for user "<username>"' in error
    assert "check username, password and jdbc_url" in error
    assert not [s for s in ("old-password", database.connection.user) if s in error]
    assert naps == []


def test_a_server_without_room_is_no_refused_login(database: Database, naps: list[float]) -> None:
    database.copy(TABLE)
    database.run("CREATE ROLE crowded LOGIN PASSWORD 'made-up' CONNECTION LIMIT 0")
    try:
        settings = database.settings | {"username": "crowded", "password": "made-up"}
        _, error = database.source.fail(TABLE, **settings)
    finally:
        database.run("DROP ROLE crowded")

    assert "too many connections" in error
    assert "tried 5 times" in error
    assert len(naps) == 4


def test_a_server_that_is_not_there_is_tried_again(database: Database, naps: list[float]) -> None:
    settings = database.settings | {"jdbc_url": "jdbc:postgresql://127.0.0.1:1/a"}

    _, error = database.source.fail(TABLE, **settings)

    assert "tried 5 times" in error
    assert len(naps) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE xactly.xc_role", 'relation "xactly.xc_role" does not exist'),
        ("ALTER TABLE xactly.xc_role DROP COLUMN descr", 'column "descr" does not exist'),
    ],
)
def test_a_refused_statement_is_not_tried_again(
    database: Database, naps: list[float], change: str, said: str
) -> None:
    """And the streams beside it are read."""
    database.copy("xc_role", TABLE)
    database.run(change)

    result, error = database.source.fail("xc_role", TABLE, **database.settings)

    assert said in error
    assert "See whether this tenant has the table" in error
    assert len(result.records(TABLE)) == 60
    assert naps == []


def test_a_name_in_a_refusal_is_no_broken_connection(database: Database, naps: list[float]) -> None:
    """The code counts, where the driver gives one, before the words."""
    database.copy("xc_role")
    columns = {"xc_role": {"CONNECTION_CLOSED": "text"}}

    _, error = database.source.fail("xc_role", extra_columns=columns, **database.settings)

    assert 'column "connection_closed" does not exist' in error
    assert naps == []


def test_a_table_without_privilege(database: Database, naps: list[float]) -> None:
    database.copy(TABLE, "xc_role")
    database.run("CREATE ROLE incent_reader LOGIN PASSWORD 'made-up'")
    try:
        database.run("GRANT USAGE ON SCHEMA xactly TO incent_reader")
        database.run("GRANT SELECT ON xactly.xc_role TO incent_reader")
        settings = database.settings | {"username": "incent_reader", "password": "made-up"}
        result, error = database.source.fail(TABLE, "xc_role", **settings)
    finally:
        database.run("DROP OWNED BY incent_reader; DROP ROLE incent_reader")

    assert f"permission denied for table {TABLE}" in error
    assert len(result.records("xc_role")) == 60
    assert naps == []


def behind_a_view(database: Database, action: str, number: int) -> None:
    """Make the server do something when it has read so many rows, once."""
    database.copy(TABLE)
    columns = ", ".join(column.split()[0] for column in TABLES[TABLE].split(", "))
    database.run("CREATE SEQUENCE xactly.rows")
    database.run(f"ALTER TABLE xactly.{TABLE} RENAME TO stored")
    once = f"CASE WHEN nextval('xactly.rows') = {number} THEN {action} END"
    database.run(
        f"CREATE VIEW xactly.{TABLE} AS SELECT {columns} FROM"
        f" (SELECT *, ({once})::text AS done FROM xactly.stored OFFSET 0) s"
        " WHERE done IS DISTINCT FROM '-'"
    )


@pytest.mark.parametrize("row", [1, 25, 60])
@pytest.mark.usefixtures("naps")
def test_a_connection_that_the_server_ends_is_opened_again(database: Database, row: int) -> None:
    behind_a_view(database, "pg_terminate_backend(pg_backend_pid())", row)

    result = database.source.sync(TABLE, statement_rows=20, **database.settings)

    keys = [record[KEY] for record in result.records(TABLE)]
    assert len(keys) == len(set(keys)) == 60
    assert database.are_closed()


@pytest.mark.usefixtures("naps")
def test_a_statement_that_takes_too_long_is_cancelled_and_run_again(database: Database) -> None:
    """By the driver, which keeps the time-out that it is given."""
    behind_a_view(database, "pg_sleep(600)", 30)

    result = database.source.sync(TABLE, statement_timeout_seconds=1, **database.settings)

    assert len({record[KEY] for record in result.records(TABLE)}) == 60
    assert database.are_closed()


@pytest.mark.usefixtures("naps")
def test_a_statement_that_the_driver_does_not_end_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection is made, and neither is there in the end."""
    monkeypatch.setattr("tap_xactly.streams.GRACE_SECONDS", -1)  # before the driver's own time-out
    behind_a_view(database, "pg_sleep(600)", 30)

    result = database.source.sync(TABLE, statement_timeout_seconds=3, **database.settings)

    assert len({record[KEY] for record in result.records(TABLE)}) == 60
    assert database.are_closed()


def test_tenant_columns_are_discovered(database: Database) -> None:
    """With their kinds, and without those of a table whose name fits an underscore."""
    database.copy("xc_participant")
    database.run("CREATE TABLE xactly.xcxparticipant (other_id bigint)")
    settings = {"discover_columns": True, **database.settings}
    catalog = database.source.catalog("xc_participant", **settings)

    result = database.source.sync(catalog=catalog, **settings)

    schema = result.of_type("SCHEMA")[0]["schema"]["properties"]
    assert schema["ARR__BASIS"]["type"] == ["number", "null"]
    assert schema["ARR__BASIS__UNIT_TYPE_ID"]["type"] == ["integer", "null"]
    assert schema["INVOICE__DATE"]["format"] == "date-time"
    assert schema["SEGMENT"]["type"] == ["string", "null"]
    assert "OTHER_ID" not in schema
    assert {row["SEGMENT"] for row in result.records("xc_participant")} >= {"segment é 1"}


def test_columns_are_discovered_where_names_are_in_upper_case(database: Database) -> None:
    """As the vendor's driver writes them (fact sheet, section 1)."""
    database.copy("xc_participant")
    database.run('ALTER TABLE xactly.xc_participant RENAME TO "XC_PARTICIPANT"')
    database.run('ALTER SCHEMA xactly RENAME TO "XACTLY"')

    catalog = database.source.catalog(discover_columns=True, **database.settings)

    found = {entry["tap_stream_id"]: entry["schema"]["properties"] for entry in catalog["streams"]}
    assert "ARR__BASIS" in found["xc_participant"]


def test_discovery_of_a_server_that_never_answers_ends(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"jdbc:postgresql://127.0.0.1:{mute.getsockname()[1]}/a"
        settings = database.settings | {"jdbc_url": url, "statement_timeout_seconds": 1}
        with pytest.raises(TapError, match=r"columns of xc_attainment_measure.* for 1 seconds"):
            database.source.catalog(TABLE, discover_columns=True, **settings)


def test_discovery_ends_its_session(database: Database) -> None:
    database.copy(TABLE)
    config = database.source.config(discover_columns=True, **database.settings)

    TapXactly(config=config).run_discovery()

    assert database.are_closed()


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("double precision", "0.1", "0.1"),
        ("boolean", "true", "1"),
        ("uuid", "0b6d2b0e-8f1a-4a5e-9d0e-3a2f6c1b7d55", "0b6d2b0e-8f1a-4a5e-9d0e-3a2f6c1b7d55"),
        ("date", "2026-01-31", "2026-01-31"),
        ("timestamptz", "2026-01-31 08:00:00.25+01", "2026-01-31T07:00:00.250Z"),
        ("numeric", "0.00000000000000000001", "0.00000000000000000001"),
        ("double precision", "1e-14", "0.00000000000001"),
    ],
)
def test_values_of_other_types_are_read_as_text(
    database: Database, kind: str, value: str, found: str
) -> None:
    database.copy("xc_role")
    database.run(f"ALTER TABLE xactly.xc_role ADD COLUMN more {kind} DEFAULT '{value}'")
    settings = {"extra_columns": {"xc_role": {"MORE": "text"}}, **database.settings}

    result = database.source.sync("xc_role", **settings)

    assert {row["MORE"] for row in result.records("xc_role")} == {found}


@pytest.mark.parametrize(("kind", "value"), [("bytea", "abc"), ("int[]", "{1}")])
def test_a_value_whose_text_is_not_its_value_fails(
    database: Database, kind: str, value: str
) -> None:
    """Else a CLOB would be loaded as its address in memory."""
    database.copy("xc_role")
    database.run(f"ALTER TABLE xactly.xc_role ADD COLUMN more {kind} DEFAULT '{value}'")

    _, error = database.source.fail(
        "xc_role", extra_columns={"xc_role": {"MORE": "text"}}, **database.settings
    )

    assert "xc_role.MORE arrives as" in error
    assert "Deselect the column" in error


def test_sigterm_ends_a_statement_that_hangs(database: Database) -> None:
    """At the server too: the exit code says that the run was stopped, and nothing runs on."""
    database.copy("xc_role")
    with database.connection.connect() as other, other.transaction():
        other.execute("LOCK TABLE xactly.xc_role IN ACCESS EXCLUSIVE MODE")
        tap = start(database, "xc_role")
        waiting = wait_until(
            lambda: ("active", "Lock") in database.sessions(), lambda: tap.poll() is None
        )

        tap.send_signal(signal.SIGTERM)
        _, log = tap.communicate(timeout=30)

        assert waiting, log
        assert tap.returncode == 128 + signal.SIGTERM, log
        assert database.are_closed()


def test_a_url_of_another_driver_ends_the_run_at_once(
    database: Database, naps: list[float]
) -> None:
    settings = database.settings | {"jdbc_url": "jdbc:xactly://secure4.example:443"}

    _, error = database.source.fail(TABLE, "xc_quota", **settings)

    assert "No suitable driver found for <jdbc_url>" in error
    assert naps == []


def test_a_missing_driver_class_is_named(database: Database) -> None:
    settings = database.settings | {"jdbc_driver_class": "com.example.Driver"}

    _, error = database.source.fail(TABLE, **settings)

    assert "Class com.example.Driver is not found" in error
    assert "JAVA_HOME" in error


def test_java_that_does_not_start_is_a_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = database.source.folder / "lib" / "server" / "libjvm.so"
    library.parent.mkdir(parents=True)
    library.write_text("no library")
    monkeypatch.setenv("JAVA_HOME", str(database.source.folder))

    _, log = start(database, TABLE).communicate(timeout=60)

    assert b"Starting Java with the driver" in log
    assert b"JAVA_HOME" in log
    assert b"Traceback" not in log
