"""exportData's wide months to one row per cell, whole columns at a time.

The sheet's section 3.2: columns whose names end in " Name" or " Code" describe a row, every other
one is a period. `B` is a blank cell, `I` an invalid one; both are null, and `mark` says which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tap_adaptive.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_adaptive.report_request import ReportRequest

MONTH = re.compile(r"(\d{1,2})/(\d{4})")
VALUE = pa.decimal128(38, 18)
BLANK, INVALID = "B", "I"
MARKS = pa.array([BLANK, INVALID])
NO_VALUE = pa.array(["", BLANK, INVALID])
NAME, CODE = " Name", " Code"
SCHEMA = pa.schema([
    ("version_id", pa.int64()),
    ("version_name", pa.string()),
    ("account_code", pa.string()),
    ("account_name", pa.string()),
    ("level_code", pa.string()),
    ("level_name", pa.string()),
    ("dimensions", pa.string()),
    ("dimension_key", pa.string()),
    ("period_code", pa.string()),
    ("year", pa.int64()),
    ("month", pa.int64()),
    ("value", VALUE),
    ("mark", pa.string()),
])  # fmt: skip


@dataclass
class Cells:
    """Turns the answers of one version to rows, and watches over what they hold.

    Attributes:
        request: What was asked for.
        version_id: Of the version.
        version_name: Of the version.
        rows: Rows made so far.
        invalid: Cells marked as invalid so far.

    Raises:
        AnswerError: a column is missing, a cell is no number, a row or a period comes twice, or an
            account was not asked for.
    """

    request: ReportRequest
    version_id: int | None
    version_name: str
    rows: int = 0
    invalid: int = 0
    _periods: set[str] = field(default_factory=set)

    def batches(
        self, header: Sequence[str], wide: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the long form of one answer, a batch for each period of each wide batch."""
        periods = [name for name in header if not name.endswith((NAME, CODE))]
        if header:
            self._check_header(header, periods)
        seen: set[int] = set()
        first_row = 1
        for batch in wide:
            described = self._described(batch)
            self._check_accounts(described["account_code"])
            self._check_unique(described, seen)
            for period in periods:
                column = batch.column(header.index(period))
                values = self._values(column, period, first_row)
                yield self._long(described, period, column, values)
            first_row += batch.num_rows

    # What a row is about

    def _check_header(self, header: Sequence[str], periods: list[str]) -> None:
        wanted = ["Account Code", "Level Name"]
        missing = [name for name in wanted if name not in header]
        missing += [
            name
            for name in self.request.dimensions
            if name + NAME not in header and name + CODE not in header
        ]
        if missing or not periods:
            raise self._error(f"has no column for {', '.join(missing) or 'any period'}")
        if repeated := sorted(self._periods & set(periods)):
            raise self._error(f"brings the periods {', '.join(repeated)} more than once")
        self._periods |= set(periods)

    def _described(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        nothing = pa.nulls(batch.num_rows, pa.string())
        names = batch.schema.names

        def text(name: str) -> pa.Array:
            return batch.column(names.index(name)) if name in names else nothing

        members, keys = self._members(batch)
        return {
            "version_id": pa.repeat(pa.scalar(self.version_id, pa.int64()), batch.num_rows),
            "version_name": pa.repeat(self.version_name, batch.num_rows),
            "account_code": text("Account Code"),
            "account_name": text("Account Name"),
            "level_code": text("Level Code"),
            "level_name": text("Level Name"),
            "dimensions": members,
            "dimension_key": keys,
        }

    def _members(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """Each row's members as a JSON object, and their codes, else names, as a JSON array."""
        names = [n for n in batch.schema.names if n.endswith((NAME, CODE))]
        names = [n for n in names if n[: -len(NAME)] not in ("Account", "Level")]
        dimensions = list(dict.fromkeys(name[: -len(NAME)] for name in names))
        objects, keys = [], []
        for row in batch.select(names).to_pylist() if names else [{}] * batch.num_rows:
            found = {
                dimension: {"code": row.get(dimension + CODE), "name": row.get(dimension + NAME)}
                for dimension in dimensions
            }
            objects.append(msgspec.json.encode(found).decode())
            codes = [member["code"] or member["name"] for member in found.values()]
            keys.append(msgspec.json.encode(codes).decode())
        return pa.array(objects, pa.string()), pa.array(keys, pa.string())

    def _check_accounts(self, codes: pa.Array) -> None:
        """Nothing leaves the tap that was not asked for, whatever the vendor sends."""
        if self.request.with_descendants:
            return
        strange = set(pc.unique(codes).to_pylist()) - set(self.request.accounts)
        if strange:
            raise self._error(
                f"holds {len(strange)} accounts that are not among account_codes, such as "
                f"{min(strange, key=str)}"
            )

    def _check_unique(self, described: dict[str, pa.Array], seen: set[int]) -> None:
        columns = ("account_code", "level_name", "dimension_key")
        for key in zip(*(described[name].to_pylist() for name in columns), strict=True):
            if hash(key) in seen:
                raise self._error(
                    "holds two rows of the same account, level and dimensions, so that one would "
                    "be lost; name the dimension that tells them apart in the setting dimensions"
                )
            seen.add(hash(key))

    # What its cells hold

    def _values(self, texts: pa.Array, period: str, first_row: int) -> pa.Array:
        is_nothing = pc.is_in(texts, NO_VALUE)
        numbers = pc.if_else(is_nothing, pa.scalar(None, pa.string()), texts)
        try:
            return pc.cast(numbers, VALUE)
        except pa.ArrowInvalid:
            row = first_row + _first_bad(numbers)
        raise self._error(
            f"holds, in row {row} of column {period}, a text that is no decimal number of up to 20 "
            "digits before and 18 behind the point; thousands separators are none either"
        )

    def _long(
        self, described: dict[str, pa.Array], period: str, texts: pa.Array, values: pa.Array
    ) -> pa.RecordBatch:
        count = len(texts)
        marks = pc.if_else(pc.is_in(texts, MARKS), texts, pa.scalar(None, pa.string()))
        self.rows += count
        self.invalid += pc.sum(pc.equal(texts, INVALID)).as_py() or 0
        month = MONTH.fullmatch(period)
        columns = {
            **described,
            "period_code": pa.repeat(period, count),
            "year": pa.repeat(pa.scalar(int(month[2]) if month else None, pa.int64()), count),
            "month": pa.repeat(pa.scalar(int(month[1]) if month else None, pa.int64()), count),
            "value": values,
            "mark": marks,
        }
        return pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def _error(self, found: str) -> AnswerError:
        return AnswerError(
            f"exportData of version {self.version_name}: the answer {found}. Nothing of this "
            "version was loaded; its old rows stay."
        )


def _first_bad(numbers: pa.Array) -> int:
    for index, value in enumerate(numbers):
        try:
            pc.cast(pa.array([value.as_py()], pa.string()), VALUE)
        except pa.ArrowInvalid:
            return index
    return 0
