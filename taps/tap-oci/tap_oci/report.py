"""One file of a report: from the socket to record batches, block by block.

Until its last byte has come nobody knows whether the file is whole; so nothing may be done with
the batches that cannot be taken back.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tap_oci.blocks import DAMAGED, Blocks
from tap_oci.body import Body
from tap_oci.columns import (
    FILE_CREATED,
    FILE_NAME,
    FILE_SIZE,
    INSTANT,
    LINE_NUMBER,
    NUMBER,
    SCALE,
    TAG_PREFIX,
    TAGS,
    TEXT_TYPE,
    Header,
    Layout,
)
from tap_oci.retry import BROKEN, broken
from tap_oci.tags import are_objects, folded
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_oci.client import ReportFile, Storage

WIDE_NUMBER = pa.decimal256(76, 38)
COLUMN = re.compile(r"In CSV column #(\d+)")
NOT_UNDERSTOOD = (pa.ArrowException, ValueError, *DAMAGED)


class UnfitError(ValueError):
    """A column has a value that it cannot hold."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class ReportReader:
    """Reads files of one stream.

    Args:
        storage: Where they are.
        rounds: Whether decimals beyond the columns' own are rounded, and not an error.
    """

    def __init__(self, storage: Storage, *, rounds: bool) -> None:
        self._storage = storage
        self._number = TEXT_TYPE if rounds else NUMBER  # Arrow's CSV reader does not round

    def batches(
        self, file: ReportFile, settle: Callable[[list[str]], tuple[Header, Layout]]
    ) -> Iterator[pa.RecordBatch]:
        """Read a file once; it was whole if this comes to its end.

        Args:
            file: The file as it was listed.
            settle: Takes the file's header and returns the columns its batches are to have.

        Raises:
            RetriableError: the file did not arrive as it was listed.
            TapError: it did, but it is no CSV file, or has a value that its column cannot hold.
        """
        body = Body(self._storage.body(file), file)
        reason: _Reason | None = None
        try:
            with closing(Blocks(body)) as blocks:
                try:
                    header, layout = settle(blocks.header)
                    shaper = _Shaper(file, header, layout)
                    for block in blocks.rows(header.types(layout, self._number)):
                        yield shaper.shape(block)
                except NOT_UNDERSTOOD as error:
                    reason = _Reason.of(error, blocks.header)
            body.check()
        except BROKEN as error:
            raise broken(f"Reading {file.name}", error) from None
        finally:
            body.release()
        if reason:
            raise reason.error(file)


class _Shaper:
    """Gives blocks of one file the stream's columns."""

    def __init__(self, file: ReportFile, header: Header, layout: Layout) -> None:
        self._file = file
        self._header = header
        self._schema = layout.arrow_schema
        self._json = layout.json_columns
        self._rows = 0

    def shape(self, block: pa.RecordBatch) -> pa.RecordBatch:
        rows = block.num_rows
        found = {
            FILE_NAME: pa.repeat(pa.scalar(self._file.name), rows),
            LINE_NUMBER: pa.arange(self._rows + 1, self._rows + rows + 1),
            FILE_CREATED: pa.repeat(pa.scalar(self._file.created, INSTANT), rows),
            FILE_SIZE: pa.repeat(pa.scalar(self._file.size), rows),
        }
        if self._header.tags:
            tags = {t.removeprefix(TAG_PREFIX): block.column(t) for t in self._header.tags}
            found[TAGS] = folded(tags, rows)
        for name, header in self._header.places.items():
            if name in self._schema.names:
                found[name] = self._checked(name, block.column(header))
        self._rows += rows
        columns = [
            found[field.name] if field.name in found else pa.nulls(rows, field.type)
            for field in self._schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _checked(self, name: str, column: pa.Array) -> pa.Array:
        try:
            if self._schema.field(name).type == NUMBER:
                if column.type != NUMBER:
                    column = pc.round(column.cast(WIDE_NUMBER), SCALE, "half_to_even").cast(NUMBER)
                column.validate(full=True)  # Arrow reads more digits than there may be
        except pa.ArrowInvalid:
            raise UnfitError(name) from None
        if name in self._json and not are_objects(column):
            raise UnfitError(name)
        return column


@dataclass(frozen=True)
class _Reason:
    """Why a file cannot be understood; Arrow's own words would quote its values."""

    column: str

    @classmethod
    def of(cls, error: Exception, names: list[str]) -> _Reason:
        numbered = COLUMN.search(str(error))
        if isinstance(error, UnfitError):
            return cls(error.column)
        is_known = numbered and int(numbered[1]) < len(names)
        return cls(names[int(numbered[1])] if numbered and is_known else "")

    def error(self, file: ReportFile) -> TapError:
        """What to say of a file that arrived whole."""
        if self.column:
            return TapError(
                f"{file.name}: the column {self.column} holds a value that is not of its kind "
                "(number, time with a zone, JSON object, text in UTF-8), or a number with more "
                f"than {SCALE} decimals or 20 digits before them. For decimals set "
                "excess_decimals to round; else ask Oracle for a correct file, or deselect the "
                "column."
            )
        return TapError(
            f"{file.name} arrived whole but is not gzip-compressed CSV with as many values in each "
            "row as in its header. Ask Oracle for a correct file; until then read the files "
            "around it with backfill_from and backfill_to."
        )
