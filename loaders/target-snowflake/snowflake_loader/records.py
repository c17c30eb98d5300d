"""The record lane: RECORD messages of one stream into Arrow tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from snowflake_loader.columns import NO_VALUE, build, field_type, instants
from snowflake_loader.errors import LoadError
from snowflake_loader.reader import DECODING_ERRORS
from snowflake_loader.schema import RECORD_METADATA

if TYPE_CHECKING:
    from snowflake_loader.schema import StreamSchema

EXTRACTED_AT = "_SDC_EXTRACTED_AT"
NO_FIELD_NAME = re.compile(r'["\\\x00-\x1f]')  # characters of no field that msgspec would decode
ROW_NUMBER = "_SDC_ROW_NUMBER"  # order of arrival; lets an upsert keep the last of several


@dataclass(frozen=True)
class Rejected:
    """A record that does not fit: why, and its JSON text as it was sent."""

    reason: str
    payload: str


class RecordDecoder:
    """Turns the JSON texts of one stream's records into Arrow tables, and finds the bad ones.

    A property that the schema does not have, a missing key and a value of another type make a
    record bad; a missing property that is no key is NULL.
    """

    def __init__(self, schema: StreamSchema) -> None:
        self._schema = schema
        self._fields = [f"field_{number}" for number in range(len(schema.columns))]
        self._renamed = {
            column.property_name: f"{NO_FIELD_NAME.sub('_', column.property_name)} (column {place})"
            for place, column in enumerate(schema.columns, 1)
            if NO_FIELD_NAME.search(column.property_name)
        }
        row = msgspec.defstruct("Row", self._definitions(), **self._options())
        self._rows = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._row = msgspec.json.Decoder(row)

    def decode(self, records: list[msgspec.Raw]) -> tuple[pa.Table, dict[int, str]]:
        """Return the records as a table (all rows) and the faults found, by row number."""
        faults: dict[int, str] = {}
        if self._renamed:
            records = list(map(self._rename, records))
        try:
            rows = self._rows.decode(b"[" + b",".join(records) + b"]")
        except DECODING_ERRORS:
            rows = []
        if len(rows) != len(records):  # a line `{...},{...}` is two records only when joined
            rows = self._decode_one_by_one(records, faults)
        arrays = []
        for column, name in zip(self._schema.columns, self._fields, strict=True):
            built = build(column, list(map(attrgetter(name), rows)))
            arrays.append(built.values)
            for row, reason in built.faults.items():
                faults.setdefault(row, reason)
        names = [column.name for column in self._schema.columns]
        return pa.Table.from_arrays(arrays, names=names), faults

    def _decode_one_by_one(self, records: list[msgspec.Raw], faults: dict[int, str]) -> list[Any]:
        nothing = self._row.decode(b"{}")
        rows = []
        for number, record in enumerate(records):
            try:
                rows.append(self._row.decode(record))
            except DECODING_ERRORS as error:
                faults[number] = self._explained(str(error))
                rows.append(nothing)
        return rows

    def _rename(self, record: msgspec.Raw) -> msgspec.Raw:
        """Give properties whose names no field can have others, at the price of more time."""
        try:
            values = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
        except DECODING_ERRORS:
            return record  # as bad under its own names
        return msgspec.Raw(
            msgspec.json.encode({self._renamed.get(k, k): value for k, value in values.items()})
        )

    def _explained(self, message: str) -> str:
        return message.removeprefix("JSON is malformed: ").replace(" - at `$.", " - in `")

    def _definitions(self) -> list[tuple[str, Any, Any]]:
        definitions = []
        for column, name in zip(self._schema.columns, self._fields, strict=True):
            decoded = field_type(column)
            default = NO_VALUE if decoded is msgspec.Raw else None
            definitions.append((name, decoded, default))
        # Other taps add the SDK's metadata to their records without naming it in the schema.
        return definitions + [(name, msgspec.Raw, NO_VALUE) for name in self._ignored()]

    def _options(self) -> dict[str, Any]:
        names = [column.property_name for column in self._schema.columns]
        properties = [self._renamed.get(name, name) for name in names]
        renamed = dict(zip(self._fields, properties, strict=True))
        return {"forbid_unknown_fields": True, "rename": renamed, "gc": False}

    def _ignored(self) -> list[str]:
        known = {column.property_name for column in self._schema.columns}
        return [name for name in RECORD_METADATA if name not in known]


def extracted_at(stream: str, texts: list[str | None]) -> pa.Array:
    """Return the moments at which records were read, for `_sdc_extracted_at`.

    Raises:
        LoadError: one is not a date-time.
    """
    try:
        return instants(texts)
    except pa.ArrowInvalid as error:
        raise LoadError(
            f"Stream {stream} sent a time_extracted that is no date-time ({error}); correct the "
            "tap, or turn add_record_metadata off."
        ) from error
