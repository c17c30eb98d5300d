"""Manifests: YAML files with a query for each table (postgres_pipeline.md, section 1)."""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tap_postgres.entry_key import find_key, note_on_key
from tap_postgres.findings import findings
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
    import_schema: str | None = None
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
        """The key's columns; none where the manifest names none, or a wrong one for copies."""
        return find_key(self.export_table_primary_key, self.query).columns

    @property
    def note(self) -> str | None:
        """What is odd, but no mistake: the key of a table that is copied."""
        problem = find_key(self.export_table_primary_key, self.query).problem
        return note_on_key(self.name, problem) if problem else None

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
class Refused:
    """A stream that cannot be loaded, since entries have mistakes.

    Attributes:
        stream: Its name, or the entry's where that cannot be told.
        problems: Each with file and table.
        is_asked_for: Whether the setting manifest_tables takes it in.
        table: The entry, where what kind of table it is can be told all the same.
    """

    stream: str
    problems: list[str]
    is_asked_for: bool
    table: ManifestTable | None = None


@dataclass(frozen=True)
class Manifests:
    """What was found in manifests.

    Attributes:
        entries: How many there are.
        tables: The right ones that are asked for.
        refused: The wrong ones, asked for or not.
        problems: What is wrong with a file as a whole, or with the setting manifest_tables.
    """

    entries: int
    tables: list[ManifestTable]
    refused: list[Refused]
    problems: list[str]

    @property
    def all_problems(self) -> list[str]:
        """Everything that is wrong."""
        return [*self.problems, *(text for one in self.refused for text in one.problems)]


@dataclass(frozen=True)
class _Entry:
    path: str
    name: str
    content: object
    faults: list[str]  # what is wrong with it as YAML

    @property
    def keys(self) -> dict[str, Any]:
        """Its keys; one without a value counts as absent."""
        keys = self.content if isinstance(self.content, dict) else {}
        return {name: value for name, value in keys.items() if value is not None}

    def stream(self, target_name: str) -> str | None:
        names = (self.keys.get("import_db"), self.keys.get("export_table"))
        if not all(isinstance(name, str) for name in names):
            return None
        return _stream(str(names[0]), str(names[1]), target_name)

    def is_asked_for(self, names: Collection[str] | None) -> bool:
        return names is None or self.name in names or self.keys.get("export_table") in names


def look_at_manifests(
    paths: Iterable[str], *, target_name: str, names: Collection[str] | None = None
) -> Manifests:
    """Read manifests, and find everything that is wrong with any of them, and what is right.

    Args:
        paths: The files.
        target_name: The setting of that name.
        names: Only these tables, by their names in the manifest or by export_table.
    """
    entries: list[_Entry] = []
    problems: list[str] = []
    for path in paths:
        found, wrong = _entries(path)
        entries += found
        problems += wrong
    problems += _unknown(entries, names or ())
    refused = []
    tables = []
    for entry in entries:
        stream = entry.stream(target_name) or entry.name
        asked = entry.is_asked_for(names)
        if wrong := list(_problems(entry)):
            refused.append(Refused(stream, wrong, asked, _as_far_as_known(entry)))
        elif asked:
            tables.append(_table(entry))
    repeated = list(_repeated(entries, target_name, names))
    streams = {one.stream for one in repeated}
    tables = [table for table in tables if table.stream(target_name) not in streams]
    return Manifests(len(entries), tables, [*refused, *repeated], problems)


def refusal(problems: Iterable[str]) -> TapError:
    """A sentence about entries with mistakes."""
    return TapError(f"Reading the manifests found: {'; '.join(problems)}. {_ADVICE}")


def _stream(import_db: str, export_table: str, target_name: str) -> str:
    if target_name == "export_table":
        return export_table.lower()
    return f"{import_db}_{export_table}".lower()


def _entries(path: str) -> tuple[list[_Entry], list[str]]:
    """A file's entries, and what is wrong with the file as a whole."""
    try:
        content, faults = load_yaml(path)
    except TapError as error:
        return [], [str(error).rstrip(".")]
    of_tables: defaultdict[str, list[str]] = defaultdict(list)
    problems = []
    for fault in faults:
        match fault.place:
            case ("tables", name, *_):
                of_tables[name].append(fault.text)
            case _:
                problems.append(fault.text)
    tables = content.get("tables")
    if "tables" not in content:
        problems.append(f"{path}: the key tables is missing")
    elif not isinstance(tables, dict):
        problems.append(f"{path}, key tables: is no mapping of tables by their names")
    elif not tables:
        problems.append(f"{path}, key tables: is empty, so there is nothing to load")
    entries = tables if isinstance(tables, dict) else {}
    found = [
        _Entry(path, str(name), entry, of_tables[str(name)]) for name, entry in entries.items()
    ]
    return found, problems


def _problems(entry: _Entry) -> Iterator[str]:
    yield from entry.faults
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


def _as_far_as_known(entry: _Entry) -> ManifestTable | None:
    """The table of an entry with mistakes, if what kind of table it is can be told."""
    try:
        table = _table(entry)
        _ = table.load
    except (ValueError, RecursionError):
        return None
    return table


def _problem(error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    return f"key {key}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _repeated(
    entries: list[_Entry], target_name: str, names: Collection[str] | None
) -> Iterator[Refused]:
    """Tables that would be one stream; those with other mistakes are looked at too."""
    streams: defaultdict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        if (stream := entry.stream(target_name)) is not None:
            streams[stream].append(entry)
    for stream, same in streams.items():
        if len(same) > 1:
            places = ", ".join(f"{entry.name} ({entry.path})" for entry in same)
            problem = f"{len(same)} tables make the stream {stream}: {places}"
            yield Refused(stream, [problem], any(entry.is_asked_for(names) for entry in same))


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
