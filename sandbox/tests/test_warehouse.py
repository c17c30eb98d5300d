"""The warehouse as its clients see it: through the Snowflake connector, over HTTP."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError, Error, ProgrammingError

from sandbox.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from snowflake.connector.cursor import SnowflakeCursor

    from sandbox.testing import Warehouse

COPY = (
    "COPY INTO {table} FROM @STG/sub/ FILES=('rows.parquet') "
    "FILE_FORMAT=(TYPE=PARQUET USE_LOGICAL_TYPE=TRUE BINARY_AS_TEXT=FALSE) "
    "MATCH_BY_COLUMN_NAME=CASE_INSENSITIVE PURGE=TRUE"
)
MERGE_ONE_ROW_TWICE = (
    "MERGE INTO T USING (SELECT 1 AS N FROM VALUES (1), (2)) ON ID = N WHEN MATCHED THEN DELETE"
)
NOW = dt.datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


@pytest.fixture
def session(warehouse: Warehouse) -> Iterator[SnowflakeCursor]:
    """A session whose current schema is the test's own, with a table T (ID, V)."""
    with warehouse.connect() as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS RAW.{warehouse.schema}")
        cursor.execute("CREATE TABLE T (ID NUMBER(38,0) NOT NULL, V VARIANT, PRIMARY KEY (ID))")
        yield cursor


def rows(cursor: SnowflakeCursor, query: str) -> list[tuple[object, ...]]:
    result = cursor.execute(query)
    assert result is not None
    return [tuple(row) for row in result.fetchall()]


def put(cursor: SnowflakeCursor, tmp_path: Path, table: pa.Table) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, compression="zstd")
    cursor.execute("CREATE TEMPORARY STAGE STG")
    cursor.execute(
        f"PUT 'file://{file}' @STG/sub/ PARALLEL=8 AUTO_COMPRESS=FALSE OVERWRITE=TRUE"
        " SOURCE_COMPRESSION=NONE"
    )


def test_every_type_survives_put_and_copy(session: SnowflakeCursor, tmp_path: Path) -> None:
    values = {
        "i": (pa.decimal128(38, 0), Decimal(10**37)),
        "n": (pa.decimal128(10, 2), Decimal("-1.25")),
        "f": (pa.float64(), 0.1),
        "b": (pa.bool_(), True),
        "s": (pa.string(), 'é\n"\\'),
        "d": (pa.date32(), dt.date(1, 1, 1)),
        "t": (pa.time64("us"), dt.time(23, 59, 59, 999999)),
        "tz": (pa.timestamp("us", tz="UTC"), NOW),
        "ntz": (pa.timestamp("us"), NOW.replace(year=9999, tzinfo=None)),
        "bin": (pa.binary(), b"\x00\xff"),
    }
    table = pa.table({name: pa.array([v, None], kind) for name, (kind, v) in values.items()})
    session.execute(
        "CREATE TABLE ALL_TYPES (I NUMBER(38,0), N NUMBER(10,2), F FLOAT, B BOOLEAN, S VARCHAR,"
        " D DATE, T TIME, TZ TIMESTAMP_TZ, NTZ TIMESTAMP_NTZ, BIN BINARY)"
    )

    put(session, tmp_path, table)
    session.execute(COPY.format(table="ALL_TYPES"))

    full, empty = rows(session, "SELECT * FROM ALL_TYPES ORDER BY I")
    assert list(full) == [value for _, value in values.values()]
    assert set(empty) == {None}


@pytest.mark.parametrize(
    ("folder", "written"),
    [
        ("a b", "a b"),
        ("a%20b", "a%20b"),
        ("a#b", "a#b"),
        ("it's", "it''s"),
        ("c:\\d", "c:\\\\d"),
        ("[x]", "[[]x]"),
        ("x", "[x]"),
    ],
)
def test_put_takes_a_path_as_it_is(
    session: SnowflakeCursor, tmp_path: Path, folder: str, written: str
) -> None:
    """As Snowflake does: no percent-encoding, only SQL's quoting and the connector's wildcards."""
    for other in ("a b", "x", folder):
        (tmp_path / other).mkdir(exist_ok=True)
        rows_of_other = pa.table({"id": [int(other == folder)]})
        pq.write_table(rows_of_other, tmp_path / other / "rows.parquet")
    session.execute("CREATE TEMPORARY STAGE STG")

    session.execute(f"PUT 'file://{tmp_path}/{written}/rows.parquet' @STG/sub/ AUTO_COMPRESS=FALSE")
    session.execute(COPY.format(table="T"))

    assert rows(session, "SELECT ID FROM T") == [(1,)]


def test_a_rollback_undoes_copy_and_merge(
    session: SnowflakeCursor, tmp_path: Path, warehouse: Warehouse
) -> None:
    put(session, tmp_path, pa.table({"id": [1, 2], "v": ['{"a": 1}', None]}))
    session.execute("CREATE TEMPORARY TABLE NEW_ROWS (ID NUMBER(38,0), V VARCHAR)")
    session.execute("INSERT INTO T SELECT 1, PARSE_JSON('[]')")
    session.execute("BEGIN")
    session.execute(COPY.format(table=f"RAW.{warehouse.schema}.NEW_ROWS"))

    counts = rows(
        session,
        f"MERGE INTO T t USING RAW.{warehouse.schema}.NEW_ROWS s ON t.ID = s.ID"
        " WHEN MATCHED THEN UPDATE SET t.V = PARSE_JSON(s.V)"
        " WHEN NOT MATCHED THEN INSERT (ID, V) VALUES (s.ID, PARSE_JSON(s.V))",
    )
    session.execute("ROLLBACK")

    assert counts == [(1, 1)]
    assert rows(session, "SELECT ID, V FROM T") == [(1, "[]")]


def test_ddl_commits_the_open_transaction(session: SnowflakeCursor) -> None:
    session.execute("BEGIN")
    session.execute("INSERT INTO T (ID) VALUES (1)")
    session.execute("ALTER TABLE T ADD COLUMN X VARCHAR")
    session.execute("ROLLBACK")

    assert rows(session, "SELECT COUNT(*) FROM T") == [(1,)]


def test_rows_come_in_the_order_asked_for(session: SnowflakeCursor) -> None:
    """However many: DuckDB fetches more than 2048 of them in parallel."""
    session.execute("CREATE TABLE numbers (n INTEGER)")
    for start in range(0, 5000, 500):
        session.execute(
            f"INSERT INTO numbers SELECT {start} + SEQ4() FROM TABLE(GENERATOR(ROWCOUNT => 500))"
        )

    for _ in range(10):
        rows = session.execute("SELECT n FROM numbers ORDER BY n DESC").fetchall()
        assert [row[0] for row in rows] == list(range(4999, -1, -1))


def test_a_primary_key_is_not_enforced(session: SnowflakeCursor) -> None:
    session.execute("INSERT INTO T (ID) VALUES (1), (1)")

    assert rows(session, "SELECT COUNT(*) FROM T") == [(2,)]


def test_what_a_session_made_temporary_ends_with_it(
    session: SnowflakeCursor, warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as other:
        put(other.cursor(), tmp_path, pa.table({"id": [1]}))
        other.cursor().execute("CREATE TEMPORARY TABLE SHORT_LIVED (A INT)")

    names = [row[1] for row in rows(session, "SHOW TABLES")]
    assert names == ["T"]
    assert rows(session, "SHOW STAGES") == []


@pytest.mark.parametrize(
    ("statement", "errno"),
    [
        ("SELECT * FROM NO_DATABASE.S.T", 2003),
        ("USE DATABASE NO_DATABASE", 2003),
        ("CREATE SCHEMA NO_DATABASE.S", 2003),
        ("INSERT INTO NO_TABLE VALUES (1)", 2003),
        ("COPY INTO T FROM @NO_STAGE FILE_FORMAT=(TYPE=PARQUET)", 2003),
        ("CREATE TABLE T (A INT)", 2002),
        ("SELEC 1", 1003),
        ("SELECT 'unclosed", 603),
        ("INSERT INTO T (ID) VALUES (NULL)", 100072),
        ("SELECT PARSE_JSON('{')", 100069),
        (MERGE_ONE_ROW_TWICE, 100090),
    ],
)
def test_errors_carry_snowflakes_numbers(
    session: SnowflakeCursor, statement: str, errno: int
) -> None:
    session.execute("INSERT INTO T (ID) VALUES (1)")

    with pytest.raises(Error) as caught:
        session.execute(statement)

    assert caught.value.errno == errno
    if errno == 2003:
        assert "does not exist or not authorized" in str(caught.value)


def test_commit_after_a_failed_statement_is_refused(session: SnowflakeCursor) -> None:
    """DuckDB would answer it with success, and the rows would be lost in silence."""
    session.execute("BEGIN")
    session.execute("INSERT INTO T (ID) VALUES (1)")
    with pytest.raises(ProgrammingError):
        session.execute("INSERT INTO T (ID) VALUES ('not a number')")

    with pytest.raises(ProgrammingError, match="rolled back"):
        session.execute("COMMIT")


def test_a_write_conflict_is_a_lock_error(session: SnowflakeCursor, warehouse: Warehouse) -> None:
    session.execute("INSERT INTO T (ID) VALUES (1)")
    session.execute("BEGIN")
    session.execute("UPDATE T SET ID = 2")
    with warehouse.connect() as other:
        other.cursor().execute("BEGIN")

        with pytest.raises(ProgrammingError, match="lock") as caught:
            other.cursor().execute("UPDATE T SET ID = 3")

    assert caught.value.errno == 625


def test_a_wrong_password_fails_at_once(warehouse: Warehouse) -> None:
    started = time.monotonic()

    with pytest.raises(DatabaseError, match="Incorrect username or password") as caught:
        warehouse.connect(password="wrong")

    assert caught.value.errno == 390100
    assert time.monotonic() - started < 10


def test_a_key_pair_logs_in_only_with_the_registered_key(warehouse: Warehouse) -> None:
    registered, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    public = registered.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (warehouse.service.keys_folder / "loader.pub").write_bytes(public)
    login = {"authenticator": "SNOWFLAKE_JWT", "password": None}

    warehouse.connect(private_key=registered, **login).close()
    with pytest.raises(DatabaseError, match="JWT token is invalid"):
        warehouse.connect(private_key=other, **login)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    "statement", ["DELETE FROM T", "CREATE TABLE U (A INT)", "PUT file:///etc/hosts @STG"]
)
def test_the_reader_may_only_read(warehouse: Warehouse, statement: str) -> None:
    with warehouse.connect(user="reader") as reader:
        assert rows(reader.cursor(), "SELECT COUNT(*) FROM T") == [(0,)]
        with pytest.raises(ProgrammingError, match="Insufficient privileges") as caught:
            reader.cursor().execute(statement)

    assert (caught.value.errno, caught.value.sqlstate) == (3001, "42501")


def test_a_cut_session_loses_its_transaction(
    session: SnowflakeCursor, warehouse: Warehouse
) -> None:
    warehouse.fault(cut_before="COMMIT")
    with warehouse.connect() as other:
        other.cursor().execute("BEGIN")
        other.cursor().execute("INSERT INTO T (ID) VALUES (1)")

        with pytest.raises(ProgrammingError, match="Session no longer exists") as caught:
            other.cursor().execute("COMMIT")

    assert caught.value.errno == 390111
    assert rows(session, "SELECT COUNT(*) FROM T") == [(0,)]


def test_a_cut_after_commit_leaves_the_rows(session: SnowflakeCursor, warehouse: Warehouse) -> None:
    warehouse.fault(cut_after="COMMIT")
    with warehouse.connect() as other:
        other.cursor().execute("BEGIN")
        other.cursor().execute("INSERT INTO T (ID) VALUES (1)")
        with pytest.raises(ProgrammingError):
            other.cursor().execute("COMMIT")

    assert rows(session, "SELECT COUNT(*) FROM T") == [(1,)]


def test_a_failure_strikes_as_often_as_asked(
    session: SnowflakeCursor, warehouse: Warehouse
) -> None:
    warehouse.fault(fail="delete", errno=625, message="waiting for a lock", times=2)

    for _ in range(2):
        with pytest.raises(ProgrammingError, match="waiting for a lock"):
            session.execute("DELETE FROM T")
    session.execute("DELETE FROM T")


def test_the_query_log_tells_what_was_sent(session: SnowflakeCursor, warehouse: Warehouse) -> None:
    with pytest.raises(Error):
        session.execute("SELECT * FROM MISSING")
    with pytest.raises(Error):
        session.execute("CREATE USER X PASSWORD = 'hush-hush'")

    last, user = warehouse.statements()[-2:]
    assert (last["sql"], last["ok"], last["user"]) == ("SELECT * FROM MISSING", False, "loader")
    assert "does not exist" in last["error"]
    assert "hush-hush" not in str(user)


def test_a_transaction_whose_client_died_is_rolled_back(impatient_warehouse: Warehouse) -> None:
    with impatient_warehouse.connect() as dead:
        dead.cursor().execute("CREATE SCHEMA S")
        dead.cursor().execute("CREATE TABLE T (A INT)")
        dead.cursor().execute("INSERT INTO T VALUES (1)")
        dead.cursor().execute("BEGIN")
        dead.cursor().execute("UPDATE T SET A = 2")

        assert wait_until(lambda: is_unlocked(impatient_warehouse), alive=lambda: True, seconds=10)

        with pytest.raises(ProgrammingError, match="Session no longer exists"):
            dead.cursor().execute("COMMIT")


def is_unlocked(warehouse: Warehouse) -> bool:
    with suppress(ProgrammingError):
        return warehouse.query("UPDATE RAW.S.T SET A = 3") != []
    return False


def test_rows_and_text_lengths_survive_a_restart(impatient_warehouse: Warehouse) -> None:
    warehouse = impatient_warehouse
    with warehouse.connect() as connection:
        connection.cursor().execute("CREATE SCHEMA KEPT")
        connection.cursor().execute("CREATE TABLE T (A VARCHAR(7))")
        connection.cursor().execute("INSERT INTO T VALUES ('x')")
    pid = warehouse.service.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    warehouse.service.stop()

    warehouse.service.start()

    assert warehouse.query("SELECT A FROM RAW.KEPT.T") == [{"A": "x"}]
    length = "SELECT CHARACTER_MAXIMUM_LENGTH AS N FROM RAW.INFORMATION_SCHEMA.COLUMNS"
    assert {"N": 7} in warehouse.query(f"{length} WHERE TABLE_NAME = 'T'")
