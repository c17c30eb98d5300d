"""Repairs keys that differ, and nothing else.

Rows that are missing or changed are read again as tap-postgres reads them and go through the
loader's own process, merged by key. Rows that the source lacks are marked as deleted, as the
loader's `mark-deleted` does, in a manifest's table; a table of the catalog, where nothing marks
rows, has them deleted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from reconcile.errors import ReconcileError
from reconcile.side import KEYS_AT_ONCE
from snowflake_loader.deletions import COLUMNS, IS_DELETED, UPDATED_AT
from snowflake_loader.errors import LoadError
from snowflake_loader.names import quote
from snowflake_loader.settings import LoadMethod
from snowflake_loader.tables import SchemaTables
from snowflake_loader.warehouse import Transaction
from tap_postgres.stamps import TASK_INSTANCE, UPLOADED_AT
from tap_postgres.table import select_sql
from tap_postgres.values import Converter
from tapsupport.records import record_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconcile.compare import Difference
    from reconcile.keys import Key
    from reconcile.tables import Pair
    from reconcile.warehouse import Warehouse

LOADER = "tributary-target-snowflake"
_LAST_LINES = 3


def check(found: Pair, difference: Difference, max_share: float) -> None:
    """See whether a table may be repaired.

    Raises:
        ReconcileError: its rows are copies of a moment or a history, or too many differ.
    """
    name = found.stream.name
    if found.load == "scd":
        raise ReconcileError(
            f"{name} holds a copy of each run, and a copy of a moment that is past cannot be read "
            "again. Nothing was written; the next load makes a new copy."
        )
    if found.appends:
        raise ReconcileError(
            f"{name} is appended to, so that a key may stand in it more than once, and merging "
            "would write over its history. Nothing was written; load what is missing by a backfill."
        )
    if not difference.is_whole or difference.share > max_share:
        raise ReconcileError(
            f"{name}: {difference.keys:,} rows differ, a larger share than --max-share "
            f"({max_share:g}). Nothing was written; see whether the source is whole, and load the "
            "table anew, or repair once with a larger share."
        )


def repair(found: Pair, difference: Difference, warehouse: Warehouse) -> None:
    """Write what differs.

    Raises:
        ReconcileError: the loader or Snowflake refused it.
        TapError: the rows cannot be read.
    """
    again = [*difference.missing, *difference.changed]
    if again:
        _load(found, again, warehouse)
    try:
        _mark(found, again, difference.extra, warehouse)
    except LoadError as error:
        raise ReconcileError(str(error)) from error


def _load(found: Pair, keys: Sequence[Key], warehouse: Warehouse) -> None:
    """Run the loader on these rows; its settings reach it in a file that has no name."""
    with tempfile.TemporaryFile() as settings, tempfile.TemporaryFile() as log:
        settings.write(json.dumps(_loader_settings(found, warehouse)).encode())
        settings.seek(0)
        loader = subprocess.Popen(
            [_loader(), "--config", f"/dev/fd/{settings.fileno()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=[settings.fileno()],
        )
        assert loader.stdin is not None  # noqa: S101 - it is a pipe
        try:
            with loader.stdin as messages:
                for lines in _messages(found, keys):
                    messages.write(lines)
        except BrokenPipeError:
            pass  # the loader says why
        except BaseException:
            loader.kill()
            raise
        finally:
            loader.wait()
        if loader.returncode:
            log.seek(0)
            said = log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
            raise ReconcileError(
                f"Repairing {found.stream.name}: the loader ended with {loader.returncode} and "
                f"said: {' '.join(said)}"
            )


def _loader() -> str:
    if found := shutil.which(LOADER):
        return found
    raise ReconcileError(f"Repairing needs the command {LOADER}, which is not on PATH. Install it.")


def _loader_settings(found: Pair, warehouse: Warehouse) -> dict[str, Any]:
    name = found.stream.name
    streams = warehouse.config.get("streams") or {}
    own = {**streams.get(name, {}), "load_method": LoadMethod.UPSERT.value}
    if found.stream.table.stamps:
        own["order_column"] = UPLOADED_AT
    run_id = f"reconcile {uuid4().hex}"
    return {**warehouse.config, "run_id": run_id, "streams": {**streams, name: own}}


def _messages(found: Pair, keys: Sequence[Key]) -> Iterator[bytes | memoryview]:
    """The Singer messages for some rows, as the tap writes them."""
    stream, table = found.stream, found.stream.table
    schema = {
        "type": "SCHEMA",
        "stream": stream.name,
        "schema": table.json_schema(),
        "key_properties": list(table.key),
    }
    yield msgspec.json.encode(schema) + b"\n"
    # The moment of the last load, and not of now: what changed in between is still to come.
    values = {
        UPLOADED_AT: time.time() if found.loaded_at is None else found.loaded_at,
        TASK_INSTANCE: stream._tap.task_instance,  # noqa: SLF001 - the tap has no public way
    }
    stamps = [(column, values[column.name]) for column in table.stamps]
    converter = Converter(table, table.columns, stream.config["out_of_range"], stamps)
    json_columns = {column.name for column in table.columns if column.is_json}
    doing = f"Repairing {stream.name}: reading rows again"
    with stream._tap.connections.lend(stream.server) as database:  # noqa: SLF001 - likewise
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = found.source.key.among(keys[start : start + KEYS_AT_ONCE])
            query = select_sql(table.columns, table.source, [some])
            for batch in converter.convert(database.batches(query, doing)):
                yield record_lines(batch, stream.name, json_columns=json_columns)


def _mark(found: Pair, present: Sequence[Key], extra: Sequence[Key], warehouse: Warehouse) -> None:
    """Mark or delete rows that the source lacks, and take the mark from those it has again."""
    session, config = warehouse.session, warehouse.config
    tables = SchemaTables(session, str(config["database"]).upper(), str(config["schema"]).upper())
    tables.open()
    marks = found.manifest is not None
    if extra and marks:
        tables.ensure(found.table, COLUMNS, found.stream.name)
    has_marks = IS_DELETED in tables.columns(found.table)
    purpose = f"repairing {found.table}"
    with Transaction(session):
        if has_marks:
            for some in _in_groups(found, present):
                session.execute(_marking(found, some, is_deleted=False), purpose)
        for some in _in_groups(found, extra):
            statement = f"DELETE FROM {found.copy.source} WHERE {some}"
            if marks:
                statement = _marking(found, some, is_deleted=True)
            session.execute(statement, purpose)


def _marking(found: Pair, some: str, *, is_deleted: bool) -> str:
    value, before = ("TRUE", "FALSE") if is_deleted else ("FALSE", "TRUE")
    return (
        f"UPDATE {found.copy.source} SET {quote(IS_DELETED)} = {value}, "
        f"{quote(UPDATED_AT)} = CURRENT_TIMESTAMP() "
        f"WHERE {some} AND COALESCE({quote(IS_DELETED)}, FALSE) = {before}"
    )


def _in_groups(found: Pair, keys: Sequence[Key]) -> Iterator[str]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield found.copy.key.among(keys[start : start + KEYS_AT_ONCE])
