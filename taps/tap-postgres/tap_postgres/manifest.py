"""Manifests: YAML files with a query for each table (postgres_pipeline.md, section 1)."""

from __future__ import annotations

import difflib
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tap_postgres.query import ManifestQuery, check_condition
from tap_postgres.yaml_files import read_yaml
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Self

    from pydantic_core import ErrorDetails

_ADVICE = "Correct the manifest and run again."


class ManifestTable(BaseModel):
    """One table of a manifest; the keys that other tools read are accepted and not used here.

    `load_method` is our own: how the rows of increments reach the warehouse.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(exclude=True)  # the key under `tables`
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
    load_method: Literal["upsert", "append-only"] = "upsert"
    deletes_exempt: bool = False
    dbt_snapshots: bool = False
    dbt_source_model: bool = False
    export_db: str | None = None

    @cached_property
    def query(self) -> ManifestQuery:
        """The query with its extra condition."""
        return ManifestQuery(self.import_query, self.additional_filtering)

    @property
    def key(self) -> tuple[str, ...]:
        """The key's columns; the manifest separates several by commas, and may name none."""
        names = (name.strip() for name in self.export_table_primary_key.split(","))
        return tuple(name for name in names if name)

    @property
    def load(self) -> Literal["scd", "interval", "load_by_id"]:
        """What kind of table it is (section 2): copied, or loaded by interval or by key."""
        if self.incremental_type:
            return self.incremental_type
        return "interval" if self.query.has_interval else "scd"

    def stream(self, target_name: str) -> str:
        """The stream's name, by the setting `target_name`, in lower case."""
        if target_name == "export_table":
            return self.export_table.lower()
        return f"{self.import_db}_{self.export_table}".lower()

    @field_validator("additional_filtering")
    @classmethod
    def _must_be_a_condition(cls, condition: str) -> str:
        if condition.strip():
            check_condition(condition)
        return condition

    @model_validator(mode="after")
    def _must_make_a_query(self) -> Self:
        try:
            columns = self.query.output_columns
        except ValueError as error:
            raise ValueError(f"import_query: {error}") from error
        names = [name for name in columns or () if name]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"import_query: selects {', '.join(repeated)} more than once")
        missing = [name for name in self.key if name not in names]
        if missing and columns is not None and None not in columns:
            raise ValueError(
                f"export_table_primary_key: names {', '.join(missing)}, which import_query does "
                "not select"
            )
        if self.incremental_type and not self.key:
            raise ValueError("export_table_primary_key: load_by_id needs one")
        return self


def read_manifests(
    paths: Iterable[str], *, target_name: str, names: Collection[str] | None = None
) -> list[ManifestTable]:
    """Read and check manifests.

    Args:
        paths: The files.
        target_name: The setting of that name.
        names: Only these tables, by their names in the manifest or by export_table.

    Raises:
        TapError: lists every problem of every file, each with file, table and key.
    """
    tables: list[ManifestTable] = []
    problems: list[str] = []
    for path in paths:
        try:
            entries = read_yaml(path).get("tables")
        except TapError as error:
            problems.append(str(error))
            continue
        if not isinstance(entries, dict):
            problems.append(f"{path}: the key tables is missing")
            continue
        for name, entry in entries.items():
            try:
                tables.append(_table(name, entry))
            except ValidationError as error:
                problems += [f"{path}, table {name}, {_problem(e)}" for e in error.errors()]
    problems += _repeated(tables, target_name)
    if problems:
        raise TapError(f"Reading the manifests found: {'; '.join(problems)}. {_ADVICE}")
    return tables if names is None else list(_named(tables, names))


def _table(name: object, entry: object) -> ManifestTable:
    fields: Any = entry if isinstance(entry, dict) else {}
    return ManifestTable.model_validate({**fields, "name": str(name)})


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # of several keys together; begins with the key
        return f"key {message}"
    key = ".".join(str(part) for part in error["loc"])
    return f"key {key}: {message[:1].lower()}{message[1:]}"


def _repeated(tables: list[ManifestTable], target_name: str) -> list[str]:
    counts = Counter(table.stream(target_name) for table in tables)
    return [f"{n} tables make the stream {stream}" for stream, n in counts.items() if n > 1]


def _named(tables: list[ManifestTable], names: Collection[str]) -> Iterator[ManifestTable]:
    known = {name for table in tables for name in (table.name, table.export_table)}
    for name in names:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known) or sorted(known)[:5])
            raise TapError(
                f"The manifests have no table {name}; there are {near} ... "
                "Correct the setting manifest_tables."
            )
    for table in tables:
        if table.name in names or table.export_table in names:
            yield table
