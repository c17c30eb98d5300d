"""Gzip-compressed CSV, decompressed and parsed while it comes.

ISA-L decompresses: it is three times as fast as the zlib that Arrow has, which took most of the
time of reading a report.
"""

from __future__ import annotations

import csv
import io
import threading
import weakref
from typing import TYPE_CHECKING, cast

import pyarrow as pa
from isal import igzip, isal_zlib
from pyarrow import csv as arrow_csv

from tap_oci.body import CHUNK_BYTES
from tap_oci.columns import TEXT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_oci.body import Body

BLOCK_BYTES = 512 << 10  # of CSV, converted at once; Arrow reads up to 32 of them ahead
RELEASE_SECONDS = 60.0  # no read from a socket lasts longer
# Of data that are not gzip, or not all of it; ISA-L's types call its error an instance.
DAMAGED = (OSError, EOFError, cast("type[Exception]", isal_zlib.error))


class Blocks:
    """The rows of one body.

    Arrow reads from it in a thread of its own, which may still do so when an error ends the
    parsing. `close` waits for it: Python's end in the middle of such a read is a crash.

    Attributes:
        header: The names of the columns; none when the body does not begin as it should.
    """

    def __init__(self, body: Body) -> None:
        self._text: io.BufferedReader | None = io.BufferedReader(
            igzip.IGzipFile(fileobj=body, mode="rb"),  # type: ignore[no-untyped-call]
            CHUNK_BYTES,
        )
        self._released = threading.Event()
        self._watch = weakref.ref(self._text, lambda _: self._released.set())
        self._reader: arrow_csv.CSVStreamingReader | None = None
        self.header = _peek_header(self._text)

    def rows(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """Yield the rows, with these types for columns and text for the others.

        Raises:
            OSError, EOFError, isal_zlib.error: the compressed data are cut short or damaged.
            ValueError: the text is no CSV, or a value is not of its column's type.
        """
        if not self.header:
            raise ValueError("There is no whole line.")
        self._open({name: types.get(name, TEXT_TYPE) for name in self.header})
        while self._reader is not None:
            try:
                yield self._reader.read_next_batch()
            except StopIteration:
                return

    def close(self) -> None:
        """Return when nobody reads from the body any more."""
        self._reader = self._text = None
        self._released.wait(RELEASE_SECONDS)

    def _open(self, types: dict[str, pa.DataType]) -> None:
        self._reader = arrow_csv.open_csv(
            # Not in a variable: an error's traceback would hold it, and `close` wait for it.
            pa.PythonFile(self._text, mode="r"),
            # One thread for each file: files are read side by side.
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True
            ),
        )


def _peek_header(text: io.BufferedReader) -> list[str]:
    """Return the first line, and leave it to be read again."""
    try:
        start = text.peek(CHUNK_BYTES).decode("utf-8-sig", errors="replace")
    except DAMAGED:
        return []
    return next(csv.reader(io.StringIO(start, newline=""))) if "\n" in start else []
