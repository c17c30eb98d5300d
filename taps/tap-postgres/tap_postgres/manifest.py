"""Manifests: YAML files with a query for each table (postgres_pipeline.md, section 1)."""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tap_postgres.findings import findings, key_names
from tap_postgres.query import parse_query
from tap_postgres.yaml_files import load_yaml
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pydantic_core import ErrorDetails

    from tap_postgres.query import ManifestQuery

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

    @property
    def query(self) -> ManifestQuery:
        """The query with its extra condition."""
        condition = self.additional_filtering
        return parse_query(self.import_query, condition if condition.strip() else "")

    @property
    def key(self) -> tuple[str, ...]:
        """The key's columns; the manifest separates several by commas, and may name none."""
        return key_names(self.export_table_primary_key)

    @property
    def load(self) -> Literal["scd", "interval", "load_by_id"]:
        """What kind of table it is (section 2): copied, or loaded by interval or by key."""
        if self.incremental_type:
            return self.incremental_type
        return "interval" if self.query.has_interval else "scd"

    def stream(self, target_name: str) -> str:
        """The stream's name, by the setting `target_name`, in lower case."""
        return _stream(self.import_db, self.export_table, target_name)


@dataclass(frozen=True)
class Manifests:
    """What was found in manifests: their entries' count, the right ones, and what is wrong."""

    entries: int
    tables: list[ManifestTable]
    problems: list[str]


@dataclass(frozen=True)
class _Entry:
    path: str
    name: str
    content: object

    @property
    def keys(self) -> dict[str, Any]:
        return self.content if isinstance(self.content, dict) else {}

    def stream(self, target_name: str) -> str | None:
        names = (self.keys.get("import_db"), self.keys.get("export_table"))
        if not all(isinstance(name, str) for name in names):
            return None
        return _stream(str(names[0]), str(names[1]), target_name)


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
    found = look_at_manifests(paths, target_name=target_name, names=names)
    if found.problems:
        raise TapError(f"Reading the manifests found: {'; '.join(found.problems)}. {_ADVICE}")
    return found.tables


def look_at_manifests(
    paths: Iterable[str], *, target_name: str, names: Collection[str] | None = None
) -> Manifests:
    """Read manifests, and find everything that is wrong with any of them, and what is right."""
    entries: list[_Entry] = []
    problems: list[str] = []
    for path in paths:
        found, wrong = _entries(path)
        entries += found
        problems += wrong
    tables: list[ManifestTable] = []
    for entry in entries:
        wrong = list(_problems(entry))
        problems += wrong
        if not wrong:
            tables.append(_table(entry))
    problems += [*_repeated(entries, target_name), *_unknown(entries, names or ())]
    if names is not None:
        tables = [table for table in tables if {table.name, table.export_table} & {*names}]
    return Manifests(len(entries), tables, problems)


def _stream(import_db: str, export_table: str, target_name: str) -> str:
    if target_name == "export_table":
        return export_table.lower()
    return f"{import_db}_{export_table}".lower()


def _entries(path: str) -> tuple[list[_Entry], list[str]]:
    """A file's entries, and what is wrong with the file as a whole."""
    try:
        content, problems = load_yaml(path)
    except TapError as error:
        return [], [str(error).rstrip(".")]
    tables = content.get("tables")
    if "tables" not in content:
        problems.append(f"{path}: the key tables is missing")
    elif not isinstance(tables, dict):
        problems.append(f"{path}, key tables: is no mapping of tables by their names")
    elif not tables:
        problems.append(f"{path}, key tables: is empty, so there is nothing to load")
    entries = tables if isinstance(tables, dict) else {}
    return [_Entry(path, str(name), entry) for name, entry in entries.items()], problems


def _problems(entry: _Entry) -> Iterator[str]:
    place = f"{entry.path}, table {entry.name}"
    if not isinstance(entry.content, dict):
        yield f"{place}: is no mapping of keys"
        return
    try:
        _table(entry)
    except ValidationError as error:
        yield from (f"{place}, {_problem(details)}" for details in error.errors())
    yield from (f"{place}, key {finding}" for finding in findings(entry.keys))


def _table(entry: _Entry) -> ManifestTable:
    return ManifestTable.model_validate({**entry.keys, "name": entry.name})


def _problem(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    return f"key {key}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _repeated(entries: list[_Entry], target_name: str) -> Iterator[str]:
    """Tables that would be one stream; those with other mistakes are looked at too."""
    streams: defaultdict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        if (stream := entry.stream(target_name)) is not None:
            streams[stream].append(entry)
    for stream, same in streams.items():
        if len(same) > 1:
            places = ", ".join(f"{entry.name} ({entry.path})" for entry in same)
            yield f"{len(same)} tables make the stream {stream}: {places}"


def _unknown(entries: list[_Entry], names: Iterable[str]) -> Iterator[str]:
    known = {entry.name for entry in entries}
    known |= {str(entry.keys["export_table"]) for entry in entries if "export_table" in entry.keys}
    for name in names:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known) or sorted(known)[:5])
            yield (
                f"the setting manifest_tables asks for {name}, but the manifests have "
                f"no table {name}; there are {near} and others"
            )
