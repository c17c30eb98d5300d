"""Manifests: YAML files with a query for each table (postgres_pipeline.md, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sqlglot
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from sqlglot.errors import SqlglotError

from tap_postgres.connections import read_yaml
from tap_postgres.placeholders import unknown_placeholders
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

_ADVICE = "Correct the manifest and run again."


class ManifestTable(BaseModel):
    """One table of a manifest; the keys that other tools read are accepted and not used here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    import_db: str
    import_query: str
    export_schema: str
    export_table: str
    export_table_primary_key: str
    additional_filtering: str = ""
    advanced_metadata: bool = False
    database_type: str | None = None
    is_incremental: bool = False
    incremental_type: Literal["load_by_id"] | None = None
    deletes_exempt: bool = False
    dbt_snapshots: bool = False
    dbt_source_model: bool = False
    export_db: str | None = None

    @property
    def stream(self) -> str:
        """`<import_db>_<export_table>`, the warehouse's table name, in lower case."""
        return f"{self.import_db}_{self.export_table}".lower()

    @property
    def key(self) -> tuple[str, ...]:
        """The key's columns; the manifest separates several by commas."""
        return tuple(name.strip() for name in self.export_table_primary_key.split(","))

    @property
    def query(self) -> str:
        """The query with its extra condition, %% as %, its placeholders still to be filled."""
        query = f"{self.import_query.strip().rstrip(';')}\n{self.additional_filtering}"
        return query.replace("%%", "%").strip()

    @field_validator("import_query")
    @classmethod
    def _must_parse(cls, query: str) -> str:
        if unknown := unknown_placeholders(query):
            raise ValueError(f"unknown placeholder {', '.join(unknown)}")
        _parse(query)
        return query

    @field_validator("additional_filtering")
    @classmethod
    def _must_be_a_condition(cls, condition: str) -> str:
        if unknown := unknown_placeholders(condition):
            raise ValueError(f"unknown placeholder {', '.join(unknown)}")
        if condition:
            if not condition.strip().upper().startswith("AND"):
                raise ValueError("does not start with AND")
            _parse(f"SELECT 1 WHERE true {condition}")
        return condition


def read_manifests(paths: Iterable[str]) -> list[ManifestTable]:
    """Read and check manifests.

    Raises:
        TapError: lists every problem of every file, each with file, table and key.
    """
    tables: list[ManifestTable] = []
    problems: list[str] = []
    for path in paths:
        entries = read_yaml(path).get("tables")
        if not isinstance(entries, dict):
            problems.append(f"{path}: the key tables is missing")
            continue
        for name, entry in entries.items():
            try:
                tables.append(ManifestTable.model_validate(entry))
            except ValidationError as error:
                problems += [f"{path}, table {name}, {_problem(e)}" for e in error.errors()]
    streams = [table.stream for table in tables]
    repeated = sorted({stream for stream in streams if streams.count(stream) > 1})
    problems += [f"two tables make the stream {stream}" for stream in repeated]
    if problems:
        raise TapError(f"Reading the manifests found: {'; '.join(problems)}. {_ADVICE}")
    return tables


def _parse(query: str) -> None:
    try:
        statements = sqlglot.parse(query.replace("%%", "%"), dialect="postgres")
    except SqlglotError as error:
        raise ValueError(f"does not parse: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], sqlglot.exp.Query):
        raise ValueError("is not one SELECT")


def _problem(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "the table"
    message = error["msg"].removeprefix("Value error, ")
    return f"key {key}: {message[:1].lower()}{message[1:]}"
