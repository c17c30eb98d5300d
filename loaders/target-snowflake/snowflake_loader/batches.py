"""The arrow lane: Parquet files that a tap wrote, looked over before they are uploaded.

A file that is in order goes up as it is. It is rewritten only where Snowflake would not load it
as meant: a column whose name is folded otherwise, rows set aside, one key twice in an upsert.
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snowflake_loader.column_types import MAX_TEXT_BYTES, ColumnType, Kind
from snowflake_loader.errors import LoadError
from snowflake_loader.files import DataFile, WorkDirectory, open_writer, reporting_full_disk
from snowflake_loader.ledger import as_json
from snowflake_loader.records import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from snowflake_loader.schema import Column, StreamSchema

GZIP_MAGIC = b"\x1f\x8b"
ROW = "row number"  # no column of a table is called so: a folded name has no space
KNOWN = "_loader_known"  # 0 where the order column is null, which counts as the smallest


@dataclass(frozen=True)
class Requirements:
    """What the load method needs of the rows of a file."""

    not_null: frozenset[str]  # column names
    unique_keys: bool
    order_column: str | None = None


@dataclass
class Checked:
    """A file fit to be uploaded, and the rows that were set aside."""

    file: DataFile
    rejected: list[Rejected] = field(default_factory=list)


def local_path(uri: str, directory: WorkDirectory) -> Path:
    """Return the path of a manifest entry, fetched first if it lies in a bucket.

    Raises:
        LoadError: there is no such file.
    """
    parts = urlsplit(uri)
    if parts.scheme in {"", "file"}:
        path = Path(unquote(parts.path))
        if not path.is_file():
            raise LoadError(f"The BATCH file {uri} is missing; the tap named it but it is gone.")
        return path
    path = directory.new_file()
    file_system, remote = _opened(uri)
    try:
        file_system.get_file(remote, str(path))
    except FileNotFoundError as error:
        raise LoadError(f"The BATCH file {uri} is missing; the tap named it.") from error
    file_system.rm_file(remote)
    return path


def _opened(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of an address, and the path in it.

    Raises:
        LoadError: no such kind of file system is known or installed.
    """
    try:
        file_system, path = fsspec.core.url_to_fs(uri)
    except (ValueError, ImportError) as error:
        raise LoadError(
            f"The BATCH file {uri} cannot be opened: {error}. Correct the tap's batch_config, or "
            "install what reads such addresses."
        ) from error
    return file_system, str(path)


def json_lines(uri: str) -> Iterator[bytes]:
    """Yield the lines of a JSONL batch file, and delete it after the last.

    Whether it is packed is seen from its first bytes: the SDK's taps gzip their files whatever
    the BATCH message says.

    Raises:
        LoadError: the file is missing or cut short.
    """
    file_system, path = _opened(uri)
    try:
        packed = file_system.cat_file(path, 0, len(GZIP_MAGIC)) == GZIP_MAGIC
        with fsspec.open(uri, "rb") as file:
            # Not by fsspec: what it unpacks with, and so what it raises, depends on what is there.
            for line in gzip.GzipFile(fileobj=file) if packed else file:
                if stripped := line.strip():
                    yield stripped
    except FileNotFoundError as error:
        raise LoadError(f"The BATCH file {uri} is missing; the tap named it.") from error
    except (EOFError, OSError, zlib.error) as error:
        raise LoadError(f"The BATCH file {uri} cannot be read to its end: {error}.") from error
    file_system.rm_file(path)


def discard(uri: str) -> None:
    """Delete a batch file that will not be loaded; the tap may be waiting for that.

    Raises:
        LoadError: no such kind of file system is known or installed.
    """
    file_system, path = _opened(uri)
    with suppress(FileNotFoundError):
        file_system.rm_file(path)


def check(
    path: Path, schema: StreamSchema, requirements: Requirements, directory: WorkDirectory
) -> Checked:
    """Look a Parquet file over, rewriting it if need be.

    Raises:
        LoadError: the file is no whole Parquet file, or its columns are not the stream's.
    """
    try:
        parquet = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise LoadError(
            f"The BATCH file {path.name} of stream {schema.stream} is not a whole Parquet file "
            f"({error}); nothing of it was loaded. Run the tap again."
        ) from error
    with parquet:
        try:
            checked = _looked_over(parquet, path, schema, requirements, directory)
        except (pa.ArrowInvalid, OSError) as error:
            raise LoadError(
                f"The BATCH file {path.name} of stream {schema.stream} cannot be read to its end "
                f"({error}); nothing of it was loaded. Run the tap again."
            ) from error
    if checked.file.path != path:
        path.unlink()
    return checked


def _looked_over(
    parquet: pq.ParquetFile,
    path: Path,
    schema: StreamSchema,
    requirements: Requirements,
    directory: WorkDirectory,
) -> Checked:
    columns = _match(parquet.schema_arrow, schema, path.name)
    faults = dict(_faults(parquet, columns, requirements))
    dropped = set(faults)
    if requirements.unique_keys:
        dropped |= _superseded(parquet, columns, dropped, requirements.order_column)
    if not dropped and all(_goes_up_as_is(f, c) for f, c in columns.items()):
        return Checked(DataFile(path, parquet.metadata.num_rows))
    return _rewrite(parquet, columns, dropped, faults, directory.new_file())


def _match(found: pa.Schema, schema: StreamSchema, name: str) -> dict[pa.Field, Column]:
    """Return the stream's column for each of the file's; they must be the same set."""
    matched = {field: schema.column(field.name) for field in found}
    unknown = [field.name for field, column in matched.items() if column is None]
    known = [column for column in matched.values() if column]
    missing = [c.property_name for c in schema.columns if c not in known]
    wrong = [
        f"{field.name} is {field.type} but should be {column.type.sql}"
        for field, column in matched.items()
        if column and not _suits(field.type, column.type)
    ]
    if unknown or missing or wrong or len(found) != len(set(known)):
        problems = [
            *(f"it has {column}, which the schema lacks" for column in unknown),
            *(f"it lacks {column}" for column in missing),
            *wrong,
        ]
        raise LoadError(
            f"The BATCH file {name} of stream {schema.stream} does not have the columns of its "
            f"SCHEMA message: {'; '.join(problems) or 'a column stands in it twice'}. Nothing of "
            "it was loaded; send a new SCHEMA before files with other columns."
        )
    return {field: column for field, column in matched.items() if column}


def _suits(found: pa.DataType, wanted: ColumnType) -> bool:
    found = _plain(found)
    if wanted.kind is Kind.NUMBER:
        if pa.types.is_integer(found):
            return True
        return pa.types.is_decimal(found) and wanted.holds(
            ColumnType(Kind.NUMBER, found.precision, found.scale)
        )
    if wanted.kind is Kind.VARCHAR:
        return not pa.types.is_nested(found)
    if wanted.kind is Kind.TIMESTAMP_TZ:
        return pa.types.is_timestamp(found) and found.tz is not None
    if wanted.kind is Kind.TIMESTAMP_NTZ:
        return pa.types.is_timestamp(found) and found.tz is None
    return any(is_kind(found) for is_kind in SUITABLE[wanted.kind])


def _plain(found: pa.DataType) -> pa.DataType:
    """The type of the values, whether the file has them through a dictionary or not."""
    return found.value_type if pa.types.is_dictionary(found) else found


BYTES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
SUITABLE = {
    Kind.BOOLEAN: (pa.types.is_boolean,),
    Kind.FLOAT: (pa.types.is_floating, pa.types.is_integer),
    Kind.BINARY: (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    Kind.DATE: (pa.types.is_date,),
    Kind.TIME: (pa.types.is_time,),
    Kind.VARIANT: (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
}


def _goes_up_as_is(found: pa.Field, column: Column) -> bool:
    text = pa.types.is_string(found.type) or pa.types.is_large_string(found.type)
    cast = column.type.kind is Kind.VARCHAR and not text
    # How Snowflake compares letters beyond ASCII is not documented: `straße` may not be STRASSE.
    named = found.name.upper() if found.name.isascii() else found.name
    return column.name == named and not cast


def _faults(
    parquet: pq.ParquetFile, columns: dict[pa.Field, Column], requirements: Requirements
) -> Iterator[tuple[int, str]]:
    """Yield the number of each bad row and why; only columns that can be bad are read."""
    for index, (found, column) in enumerate(columns.items()):
        groups = [
            parquet.metadata.row_group(i).column(index) for i in range(parquet.num_row_groups)
        ]
        if column.name in requirements.not_null and _may_have_nulls(groups):
            reason = f"key {column.property_name} is missing or null"
            yield from _marked(parquet, found.name, lambda values: values.is_null(), reason)
        if pa.types.is_floating(found.type):
            reason = f"{column.property_name} is NaN or infinite, which is no JSON number"
            yield from _marked(parquet, found.name, _is_not_finite, reason)
        # A column chunk holds each of its values at least once, so a small one has no long text.
        if (
            column.type.kind in {Kind.VARCHAR, Kind.VARIANT}
            and any(group.total_uncompressed_size > MAX_TEXT_BYTES for group in groups)
            and any(is_kind(_plain(found.type)) for is_kind in BYTES)
        ):
            reason = (
                f"{column.property_name} has more than the {MAX_TEXT_BYTES:,} bytes of a VARCHAR"
            )
            yield from _marked(parquet, found.name, _is_too_long, reason)


def _may_have_nulls(groups: list[pq.ColumnChunkMetaData]) -> bool:
    return any(
        group.statistics is None
        or not group.statistics.has_null_count
        or group.statistics.null_count
        for group in groups
    )


def _marked(
    parquet: pq.ParquetFile, name: str, is_bad: Callable[[pa.Array], pa.Array], reason: str
) -> Iterator[tuple[int, str]]:
    start = 0
    for batch in parquet.iter_batches(columns=[name]):
        bad = is_bad(batch.column(0)).fill_null(pa.scalar(value=False))
        yield from ((start + row, reason) for row in pc.indices_nonzero(bad).to_pylist())
        start += batch.num_rows


def _is_not_finite(values: pa.Array) -> pa.Array:
    return pc.invert(pc.is_finite(values))


def _is_too_long(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        return _is_too_long(values.dictionary).take(values.indices)
    return pc.greater(pc.binary_length(values), MAX_TEXT_BYTES)


def _superseded(
    parquet: pq.ParquetFile, columns: dict[pa.Field, Column], faulty: set[int], order: str | None
) -> set[int]:
    """Return the rows whose key comes again, with a value of `order` that is no smaller.

    Without an order, or between equals, the row further down in the file counts.
    """
    keys = [found.name for found, column in columns.items() if column.is_key]
    orders = [found.name for found, column in columns.items() if column.name == order]
    table = parquet.read(columns=keys + orders)
    if len(keys) == 1 and _is_ascending(table.column(keys[0]).combine_chunks()):
        return set()
    table = table.append_column(ROW, pa.arange(0, table.num_rows))
    if faulty:
        good = [row for row in range(table.num_rows) if row not in faulty]
        table = table.take(pa.array(good, pa.int64()))
    for name in orders:
        table = table.append_column(KNOWN, pc.cast(pc.is_valid(table[name]), pa.int8()))
        table = table.sort_by([(column, "ascending") for column in (KNOWN, name, ROW)])
    last = table.group_by(keys, use_threads=False).aggregate([(ROW, "last")])
    if last.num_rows == table.num_rows:
        return set()
    return set(table[ROW].to_pylist()) - set(last[f"{ROW}_last"].to_pylist())


def _is_ascending(values: pa.Array) -> bool:
    """Whether each value is larger than the one before: the cheap way to see that none repeats."""
    return bool(pc.all(pc.less(values[:-1], values[1:]), skip_nulls=False).as_py())


@reporting_full_disk
def _rewrite(
    parquet: pq.ParquetFile,
    columns: dict[pa.Field, Column],
    dropped: set[int],
    faults: dict[int, str],
    path: Path,
) -> Checked:
    arrow_schema = pa.schema(
        [pa.field(column.name, _written_type(f, column)) for f, column in columns.items()]
    )
    rejected: list[Rejected] = []
    start = kept = 0
    with open_writer(path, arrow_schema) as writer:
        for batch in parquet.iter_batches():
            rows = range(start, start + batch.num_rows)
            for row in set(rows) & set(faults):
                (values,) = batch.slice(row - start, 1).to_pylist()
                rejected.append(Rejected(faults[row], as_json(values)))
            mask = pa.array([row not in dropped for row in rows], pa.bool_())
            good = pa.Table.from_batches([batch]).filter(mask)
            writer.write_table(good.rename_columns(arrow_schema.names).cast(arrow_schema))
            start, kept = start + batch.num_rows, kept + good.num_rows
    return Checked(DataFile(path, kept), rejected)


def _written_type(found: pa.Field, column: Column) -> pa.DataType:
    return pa.string() if column.type.kind is Kind.VARCHAR else found.type
