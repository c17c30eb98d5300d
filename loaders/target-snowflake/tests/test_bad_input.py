"""Bad input ends the command with a sentence and a code, and publishes nothing by halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from snowflake_loader.testing import Messages, Run, activate, lines, record, schema

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse

GOOD = [schema(), record(id=1, name="a")]


def batch(*uris: str, format_: str = "parquet") -> dict[str, Any]:
    return {
        "type": "BATCH",
        "stream": "items",
        "encoding": {"format": format_},
        "manifest": list(uris),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (lines(GOOD) + '{"type": "RECORD", "stream"\n', "Line 3 of the input is not a Singer"),
        (lines(GOOD) + '{"type": "RECORD", "stream"', "ends in the middle of line 3"),
        (lines(GOOD) + "Traceback (most recent call last):\n", "begins with b'Traceback"),
        (lines([record(id=1)]), "came before its SCHEMA"),
        (lines([schema(), record(name="no key")]), "key id is missing or null"),
        (lines([schema(), record(id="x")]), "does not fit its schema"),
        (
            lines([schema()]) + '{"type":"RECORD","stream":"items","record":{"id":NaN}}\n',
            "not a Singer",
        ),
        (lines([schema(), record(id=10**39)]), "does not fit NUMBER"),
        (lines([schema(), record(id=1, extra=1)]), "unknown field `extra`"),
        (lines([{"type": "SCHEMA", "stream": "items", "schema": {}}]), "has no properties"),
        (
            lines([schema() | {"schema": {"properties": {"id": "integer"}}}]),
            "describes id by something that is no JSON Schema",
        ),
        *(
            (
                lines([schema() | {"schema": {"properties": {"id": definition}}}]),
                "describes id by something that is no JSON Schema",
            )
            for definition in (
                {"type": 5},
                {"type": [["integer"]]},
                {"anyOf": [5]},
                {"oneOf": {"x": {"type": "integer"}}},
            )
        ),
        (
            lines([schema()])
            + '{"type":"RECORD","stream":"items","record":{"id":1,"name":'
            + "[" * 100_000
            + "]" * 100_000
            + "}}\n",
            "not a Singer",
        ),
        (lines([schema(keys=["nope"])]), "names the key nope"),
        (lines([{"type": "RECORD", "record": {}}]), "has no stream"),
        (lines([{"type": "NEWS"}]), "unknown message type NEWS"),
        (lines([schema(), batch("file:///gone.parquet")]), "gone.parquet is missing"),
        (lines([schema(), batch("file:///x", format_="avro")]), "in the format avro"),
    ],
)
def test_each_bad_input_has_its_sentence_and_loads_nothing(
    warehouse: Warehouse, run_command: Run, text: str, sentence: str
) -> None:
    done = run_command(text)

    assert done.code == 1
    assert sentence in done.log
    assert "Traceback (most recent call last)" not in done.log.replace(
        "begins with b'Traceback", ""
    )
    assert done.states == []
    assert counted(warehouse) == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"password": "wrong-secret"}, "Incorrect username or password"),
        ({"password": None}, "exactly one of"),
        ({"password": "sandbox", "private_key": "x"}, "exactly one of"),
        ({"password": None, "private_key_path": "/nowhere.p8"}, "/nowhere.p8 could not be read"),
        ({"password": None, "private_key": "%%%"}, "neither a PEM text nor base64"),
        ({"database": "NOWHERE"}, "does not exist or not authorized"),
        ({"user": "reader"}, "Grant the role this privilege"),
        ({"load_method": "replace-slice"}, "no slice_column"),
        ({"password": 987654321}, "password has a value that is not text"),
        ({"account": None}, "'account' is a required property"),
        ({"load_method": "truncate"}, "'truncate' is not one of"),
        ({"streams": {"*": {"load_methods": "upsert"}}}, "which a stream cannot have"),
        ({"streams": {"items": {"load_method": "truncate"}}}, "must be one of append-only"),
        ({"streams": {"items": {"all_varchar": "false"}}}, "are true or false"),
        ({"streams": {"items": {"table": 5}}}, "are text"),
        ({"work_directory": "/dev/null"}, "Correct work_directory"),
        ({"work_directory": "/proc/nowhere"}, "Correct work_directory"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 101}, "max_connections"),
        ({"port": 99999}, "port"),
        ({"work_directory": "~no-such-user/x"}, "Correct work_directory"),
        ({"work_directory": "nul\0"}, "Correct work_directory"),
        ({"password": None, "private_key_path": "~no-such-user/x"}, "Correct private_key_path"),
        ({"account": ""}, "'' should be non-empty in config['account']"),
        ({"user": ""}, "'' should be non-empty in config['user']"),
        ({"database": ""}, "'' should be non-empty in config['database']"),
        ({"schema": ""}, "'' should be non-empty in config['schema']"),
        ({"file_mebibytes": 0}, "minimum of 0 in config['file_mebibytes']"),
        ({"commit_mebibytes": -1}, "minimum of 0 in config['commit_mebibytes']"),
        ({"commit_seconds": -1}, "minimum of 0 in config['commit_seconds']"),
        ({"lease_seconds": 0}, "minimum of 0 in config['lease_seconds']"),
        ({"lease_wait_seconds": -1}, "minimum of 0 in config['lease_wait_seconds']"),
        ({"login_timeout_seconds": 0}, "minimum of 1 in config['login_timeout_seconds']"),
        ({"network_timeout_seconds": 0}, "minimum of 1 in config['network_timeout_seconds']"),
        ({"lock_timeout_seconds": -5}, "minimum of 1 in config['lock_timeout_seconds']"),
        ({"port": 1, "login_timeout_seconds": 5}, "Check `account`, `host` and `port`"),
    ],
)
def test_each_wrong_setting_has_its_sentence(
    run_command: Run, changed: dict[str, Any], sentence: str
) -> None:
    done = run_command(GOOD, **changed)

    assert done.code == 1
    assert sentence in done.log
    assert "wrong-secret" not in done.log
    assert "987654321" not in done.log
    assert "Traceback" not in done.log
    assert done.states == []


def test_rows_before_a_bad_record_stay_uncommitted(warehouse: Warehouse, run_command: Run) -> None:
    run_command([schema(), record(id=1, name="old")])

    done = run_command([schema(), record(id=1, name="new"), record(id="bad")])

    assert done.code == 1
    rows = warehouse.query(f'SELECT NAME FROM "{warehouse.schema}".ITEMS')
    assert [row["NAME"] for row in rows] == ["old"]


def test_a_full_disk_is_said_and_loads_nothing(
    warehouse: Warehouse, run_command: Run, tmp_path: Path
) -> None:
    """Files may grow to a limit of the process here, which the system reports like a full disk."""
    rows: Messages = [record(id=number, name=f"{number:064x}") for number in range(60_000)]
    limited = tmp_path / "limited"
    limited.mkdir()

    done = run_command([schema(), *rows], limit_file_bytes=100_000)

    assert done.code == 1
    assert "could not be written" in done.log
    assert counted(warehouse) == 0


def test_the_connection_lost_in_mid_transaction_leaves_the_old_rows(
    warehouse: Warehouse, run_command: Run
) -> None:
    run_command(
        [schema(), activate(1), record(id=1, version=1), activate(1)], load_method="overwrite"
    )
    warehouse.fault(cut_before="COPY")

    done = run_command(
        [schema(), activate(2), record(id=2, version=2), activate(2)], load_method="overwrite"
    )

    assert done.code == 1
    assert "Run again" in done.log or "run again" in done.log
    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS')
    assert [row["ID"] for row in rows] == [1]


def test_a_copy_that_fails_after_the_delete_leaves_the_old_rows(
    warehouse: Warehouse, run_command: Run
) -> None:
    run_command(
        [schema(), activate(1), record(id=1, version=1), activate(1)], load_method="overwrite"
    )
    warehouse.fault(fail="COPY", errno=100038, message="Numeric value is not recognized.")

    done = run_command(
        [schema(), activate(2), record(id=2, version=2), activate(2)], load_method="overwrite"
    )

    assert done.code == 1
    assert "Numeric value is not recognized" in done.log
    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS')
    assert [row["ID"] for row in rows] == [1]


def test_a_commit_that_fails_is_rolled_back_with_its_ledger_entry(
    warehouse: Warehouse, run_command: Run
) -> None:
    run_command([schema(), record(id=1)])
    warehouse.fault(fail="COMMIT", errno=625, message="Statement waited too long for a lock.")

    done = run_command([schema(), record(id=2), {"type": "STATE", "value": {"bookmarks": {}}}])

    assert done.code == 1
    assert "Another load holds the table's lock" in done.log
    assert done.states == []
    assert counted(warehouse) == 1
    assert len(warehouse.query(f'SELECT * FROM "{warehouse.schema}"._LOADS')) == 1


def counted(warehouse: Warehouse) -> int:
    """Rows of ITEMS, 0 where the load never came to making it."""
    tables = warehouse.query(
        "SELECT TABLE_NAME FROM RAW.INFORMATION_SCHEMA.TABLES "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}' AND TABLE_NAME = 'ITEMS'"
    )
    if not tables:
        return 0
    return len(warehouse.query(f'SELECT * FROM "{warehouse.schema}".ITEMS'))
