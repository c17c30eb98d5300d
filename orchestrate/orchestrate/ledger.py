"""What the loader's ledger `_LOADS` says of runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from snowflake_loader.warehouse import Session

PREFIX = "TARGET_SNOWFLAKE_"
REQUIRED = ("account", "user", "database")
SETTINGS = (
    *REQUIRED,
    "private_key",
    "private_key_path",
    "private_key_passphrase",
    "password",
    "oauth_access_token",
    "warehouse",
    "role",
    "host",
    "port",
    "protocol",
)
PATIENCE = {
    "login_timeout_seconds": 20,
    "network_timeout_seconds": 30,
    "lock_timeout_seconds": 30,
}
RUNS = """
SELECT RUN_ID, COUNT(DISTINCT STREAM) AS STREAMS, SUM(ROWS_READ) AS ROWS_READ,
  SUM(INSERTED) AS INSERTED, SUM(UPDATED) AS UPDATED, SUM(DELETED) AS DELETED,
  SUM(REJECTED) AS REJECTED
FROM {schema}._LOADS WHERE RUN_ID IN ({run_ids}) GROUP BY RUN_ID
"""


@dataclass(frozen=True)
class Loaded:
    """What one run has committed; counts are rows."""

    streams: int = 0
    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rejected: int = 0

    def __add__(self, other: Self) -> Loaded:
        return Loaded(*(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers, in the order of the fields."""
        return (
            self.streams,
            self.rows_read,
            self.inserted,
            self.updated,
            self.deleted,
            self.rejected,
        )

    def __str__(self) -> str:
        return (
            f"{self.rows_read:,} rows read of {self.streams} streams: {self.inserted:,} inserted,"
            f" {self.updated:,} updated, {self.deleted:,} deleted, {self.rejected:,} rejected"
        )


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the loader's variables say which warehouse to ask."""
    return all(environment.get(PREFIX + name.upper()) for name in REQUIRED)


def of_runs(runs: Mapping[str, Iterable[str]]) -> dict[str, Loaded]:
    """What each run has committed, by the loader's own variables and log-in.

    Args:
        runs: Run ids by the schema that they load; a schema or ledger may not exist yet.

    Raises:
        OrchestrateError: The warehouse refuses, or cannot be reached.
    """
    from snowflake_loader.errors import LoadError  # noqa: PLC0415 - slow to import
    from snowflake_loader.warehouse import connect  # noqa: PLC0415 - likewise

    found: dict[str, Loaded] = {}
    try:
        session = connect(_config(), "orchestrate")
        try:
            for schema, run_ids in runs.items():
                for run_id, loaded in _of_schema(session, schema, sorted(run_ids)):
                    found[run_id] = found.get(run_id, Loaded()) + loaded
        finally:
            session.close()
    except LoadError as error:
        raise OrchestrateError(f"The ledger cannot be read. {error}") from error
    return found


def _of_schema(session: Session, schema: str, run_ids: list[str]) -> Iterable[tuple[str, Loaded]]:
    from snowflake_loader.names import literal  # noqa: PLC0415 - slow to import

    where = f"TABLE_SCHEMA = {literal(schema.upper())} AND TABLE_NAME = '_LOADS'"
    tables = session.execute(
        f"SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE {where}", "looking for the ledger"
    )
    if not tables or not run_ids:
        return
    query = RUNS.format(schema=f'"{schema.upper()}"', run_ids=", ".join(map(literal, run_ids)))
    for row in session.execute(query, f"reading the ledger of {schema}"):
        names = ("STREAMS", "ROWS_READ", "INSERTED", "UPDATED", "DELETED", "REJECTED")
        yield row["RUN_ID"], Loaded(*(int(row[name] or 0) for name in names))


def _config() -> dict[str, Any]:
    given = {name: os.environ.get(PREFIX + name.upper()) for name in SETTINGS}
    config: dict[str, Any] = {name: value for name, value in given.items() if value}
    if port := config.get("port"):
        config["port"] = int(port)
    return {**PATIENCE, "schema": "INFORMATION_SCHEMA", **config}
