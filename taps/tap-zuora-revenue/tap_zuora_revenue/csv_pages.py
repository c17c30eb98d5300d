"""One page of a view: from the bytes received to a table of text.

How the files are written is not documented ("zuora_revenue.md", section 5.2), so this reads RFC
4180 with newlines in quotes, packed or not, with or without a header on later pages.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import csv as arrow_csv

from tapsupport.errors import TapError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$#]*")
HEADER_BYTES = 1 << 20  # no first record is longer


class BrokenPageError(TapError):
    """A page that is no whole CSV file; another try may bring a whole one."""


@dataclass(frozen=True)
class Page:
    """One page: its number from 1, the names of its columns, its rows as text, its bytes."""

    number: int
    header: tuple[str, ...]
    rows: pa.Table
    body: bytes


def read_page(number: int, body: bytes, header: tuple[str, ...] | None) -> Page:
    """Read a page; `header` is that of the pages before, None for the first one.

    A first line that equals `header`, or is another header, is no row. An empty field is null.

    Raises:
        BrokenPageError: it is no whole CSV file.
    """
    text = _unpacked(body).removeprefix(BYTE_ORDER_MARK)
    if not text.strip() or text.lstrip().startswith(b"<"):
        raise BrokenPageError("is empty or HTML, where CSV should be")
    if text.count(b'"') % 2:
        raise BrokenPageError("ends in the middle of a quoted field")
    first = _first_record(text)
    has_header = header is None or _is_header(first, header)
    names = _checked_names(first) if has_header or header is None else header
    rows = _parse(text, names)
    return Page(number, names, rows.slice(1) if has_header else rows, body)


def _unpacked(body: bytes) -> bytes:
    """Whether the HTTP library has unpacked it already is only seen from the bytes."""
    while body.startswith(GZIP_MAGIC):
        try:
            body = gzip.decompress(body)
        except (EOFError, OSError, zlib.error):
            raise BrokenPageError("is a gzip file that was cut") from None
    return body


def _first_record(text: bytes) -> tuple[str, ...]:
    start = text[:HEADER_BYTES].decode("utf-8", errors="replace")
    try:
        return tuple(next(csv.reader(io.StringIO(start, newline=""))))
    except csv.Error:
        raise BrokenPageError("has a first line that is no CSV") from None


def _is_header(record: tuple[str, ...], header: tuple[str, ...]) -> bool:
    """Whether a record names columns; that of a changed view shares most names with the former."""
    return record == header or 2 * len(set(record) & set(header)) > len(header)


def _checked_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(COLUMN_NAME.fullmatch(name) for name in names):
        raise BrokenPageError("does not begin with a line of column names")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise BrokenPageError(f"names the column {repeated[0]} twice")
    return names


def _parse(text: bytes, names: tuple[str, ...]) -> pa.Table:
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(text),
            arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        # Arrow quotes the row; its content must not reach a log.
        found = "a row of another length" if "columns, got" in str(error) else "no UTF-8 CSV"
        raise BrokenPageError(f"has {found}") from None
