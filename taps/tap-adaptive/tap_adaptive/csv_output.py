"""The CSV inside `<output>`, read from disk in batches of text columns."""

from __future__ import annotations

import csv
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv as arrow_csv

from tap_adaptive.errors import AnswerError, UnreadableAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_adaptive.answer import Answer

BLOCK_BYTES = 1 << 20


class CsvOutput:
    """The rows of an answer; an empty output has no header and no row.

    Raises:
        AnswerError: a column has no name or another's, or a row has another number of columns.
        UnreadableAnswerError: it breaks off.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._is_empty = not answer.has_text
        if answer.quotes % 2:
            raise UnreadableAnswerError(
                f"{answer.method}: the CSV in the answer ends inside of a quoted value. "
                "Run again later."
            )

    @cached_property
    def header(self) -> list[str]:
        """The columns' names, each one once."""
        if self._is_empty:
            return []
        with self._answer.text.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file))
        if not all(names):
            raise AnswerError(
                f"{self._answer.method}: the CSV in the answer has a column without a name, so it "
                "is not known what its values are. Report it to the vendor; it cannot be loaded."
            )
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise AnswerError(
                f"{self._answer.method}: the CSV in the answer has the column "
                f"{', '.join(repeated)} more than once, so its values cannot be told apart. Ask "
                "the owner of the planning model to rename one."
            )
        return names

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, every column as text; an empty cell is an empty text."""
        if self._is_empty:
            return
        faulty: list[arrow_csv.InvalidRow] = []

        def note(row: arrow_csv.InvalidRow) -> str:
            faulty.append(row)
            return "skip"

        try:
            for batch in self._open(note):
                self._refuse(faulty)
                yield batch
        except pa.ArrowInvalid:  # whose text quotes the row
            raise AnswerError(
                f"{self._answer.method}: the CSV in the answer cannot be read; it may hold a row "
                f"longer than {BLOCK_BYTES} bytes. Report it as a fault of this tap."
            ) from None
        self._refuse(faulty)

    def _open(self, note: object) -> arrow_csv.CSVStreamingReader:
        return arrow_csv.open_csv(
            str(self._answer.text),
            # With names of its own it takes a header without rows for what it is.
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                column_names=self.header,
                skip_rows_after_names=1,
            ),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(self.header) > 1,  # of one column they are empty cells
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in self.header}
            ),
        )

    def check_row_count(self, announced: int) -> None:
        """Compare the rows with what the trailer announces.

        Raises:
            UnreadableAnswerError: they differ.
        """
        found = sum(batch.num_rows for batch in self.batches())
        if found != announced:
            raise UnreadableAnswerError(
                f"{self._answer.method}: the answer announces {announced} rows and holds {found}. "
                "Nothing of it was used; run again later."
            )

    def _refuse(self, faulty: list[arrow_csv.InvalidRow]) -> None:
        if faulty:
            row = faulty[0]
            raise AnswerError(
                f"{self._answer.method}: a row of the CSV in the answer has {row.actual_columns} "
                f"columns, but its header {row.expected_columns}; there are {len(faulty)} such "
                "rows. Report it to the vendor; it cannot be loaded."
            )
