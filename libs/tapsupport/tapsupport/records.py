"""Arrow batches to Singer RECORD lines, whole columns at a time.

Every column becomes a column of JSON fragments by Arrow's own kernels, and one kernel joins them
to lines; Python touches no row. That is about four times as fast as a dict per row and msgspec.

How values are written: decimals as numbers with every digit, float32 widened to float64 (which is
what any loader makes of a Parquet float), timestamps ISO 8601 (`+00:00` when the column has a
zone), dates and times ISO, binary as base64, JSON text embedded as it is.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_NOTHING = pa.scalar("")
_QUOTE = pa.scalar('"')
_SHORT_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_OTHER_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_DATE_END = len("2024-01-31")


def record_lines(
    batch: pa.RecordBatch,
    stream: str,
    *,
    json_columns: AbstractSet[str] = frozenset(),
    version: int | None = None,
    time_extracted: str | None = None,
) -> memoryview:
    """Encode a batch as RECORD messages, one line for each row.

    Args:
        batch: The rows; the columns' names become the properties.
        stream: The stream's name.
        json_columns: String columns that hold JSON text, to be embedded and not quoted.
        version: The snapshot's version, for FULL_TABLE streams.
        time_extracted: ISO 8601 with zone, the same for every row.

    Raises:
        pyarrow.ArrowInvalid: the lines of this batch exceed 2 GB.
        ValueError: a floating-point column holds NaN or an infinity, which JSON cannot say.
    """
    pieces = [pa.scalar(f'{{"type":"RECORD","stream":{_json(stream)},"record":{{')]
    for index, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        pieces.append(pa.scalar(f"{',' if index else ''}{_json(name)}:"))
        pieces.append(_one_line(column) if name in json_columns else _fragments(name, column))
    tail = "" if version is None else f',"version":{version}'
    tail += "" if time_extracted is None else f',"time_extracted":{_json(time_extracted)}'
    pieces.append(pa.scalar(f"}}{tail}}}\n"))
    lines = pc.binary_join_element_wise(
        *pieces, _NOTHING, null_handling="replace", null_replacement="null"
    )
    return _bytes_of(lines, batch.num_rows)


def _fragments(name: str, column: pa.Array) -> pa.Array:
    """The column's values as JSON text; SQL NULL stays null."""
    kind = column.type
    if pa.types.is_string(kind):
        return _quoted_text(column)
    if pa.types.is_floating(kind):
        return _floats(name, column)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if pa.types.is_binary(kind):
        return _quoted(_base64(column))
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return _quoted(pc.cast(column, pa.string()))
    return pc.cast(column, pa.string())


def _quoted(column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_QUOTE, column, _QUOTE, _NOTHING)


def _quoted_text(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(column, _OTHER_CONTROL)).as_py():
        return pa.array([None if v is None else _json(v) for v in column.to_pylist()], pa.string())
    for character, escape in _SHORT_ESCAPES:
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, escape)
    return _quoted(column)


def _one_line(column: pa.Array) -> pa.Array:
    """JSON text on one line: a raw line end can only stand between tokens there."""
    for character in "\n\r":
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, " ")
    return column


def _floats(name: str, column: pa.Array) -> pa.Array:
    if not pc.all(pc.is_finite(column)).as_py() and column.null_count < len(column):
        raise ValueError(f"Column {name} holds NaN or an infinity, which JSON cannot say.")
    return pc.cast(pc.cast(column, pa.float64()), pa.string())


def _timestamps(column: pa.Array) -> pa.Array:
    zone = pa.scalar('+00:00"' if column.type.tz else '"')
    text = pc.cast(pc.cast(column, pa.timestamp("us")), pa.string())
    text = pc.binary_replace_slice(text, _DATE_END, _DATE_END + 1, "T")
    return pc.binary_join_element_wise(_QUOTE, text, zone, _NOTHING)


def _base64(column: pa.Array) -> pa.Array:
    texts = [None if v is None else base64.b64encode(v).decode() for v in column.to_pylist()]
    return pa.array(texts, pa.string())


def _json(value: str) -> str:
    return msgspec.json.encode(value).decode()


def _bytes_of(lines: pa.StringArray, rows: int) -> memoryview:
    """The values of a fresh string array, which lie behind each other without a gap."""
    if not rows:
        return memoryview(b"")
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + rows]]
