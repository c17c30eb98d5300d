"""What a SCHEMA message says, in the terms of the warehouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from snowflake_loader.column_types import TEXT, ColumnType, Kind, column_type, is_definition
from snowflake_loader.errors import LoadError
from snowflake_loader.names import fold_all

# Metadata columns by the SDK's names; in this order behind the stream's own columns.
RECORD_METADATA: dict[str, ColumnType] = {
    "_sdc_extracted_at": ColumnType(Kind.TIMESTAMP_TZ),
    "_sdc_received_at": ColumnType(Kind.TIMESTAMP_TZ),
    "_sdc_batched_at": ColumnType(Kind.TIMESTAMP_TZ),
    "_sdc_deleted_at": ColumnType(Kind.TIMESTAMP_TZ),
    "_sdc_sequence": ColumnType(Kind.NUMBER, 38, 0),
    "_sdc_table_version": ColumnType(Kind.NUMBER, 38, 0),
    "_sdc_sync_started_at": ColumnType(Kind.NUMBER, 38, 0),
}


@dataclass(frozen=True)
class Column:
    """One property of a stream and the column it becomes."""

    property_name: str
    name: str
    type: ColumnType
    definition: dict[str, Any] = field(hash=False)
    is_key: bool

    @property
    def is_plain(self) -> bool:
        """Whether a file that names the column as the property does matches by name."""
        return self.name == self.property_name.upper()


@dataclass(frozen=True)
class StreamSchema:
    """The columns of a stream, in the order of its schema, and its key."""

    stream: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_key)

    def column(self, property_name: str) -> Column | None:
        """Return the column of a property, spelled exactly or else in any case."""
        exact = (column for column in self.columns if column.property_name == property_name)
        loose = (c for c in self.columns if c.property_name.upper() == property_name.upper())
        return next(exact, None) or next(loose, None)


@dataclass(frozen=True)
class SchemaMessage:
    """What a tap says of a stream before its records."""

    stream: str
    schema: dict[str, Any]
    key_properties: list[str]


def read_schema(message: SchemaMessage, *, all_varchar: bool) -> StreamSchema:
    """Return the columns for a SCHEMA message.

    Raises:
        LoadError: the schema has no properties, or a key is not among them.
    """
    stream, keys = message.stream, message.key_properties
    properties = message.schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise LoadError(f"The SCHEMA of stream {stream} has no properties; the tap must send some.")
    if odd := [name for name, definition in properties.items() if not is_definition(definition)]:
        raise LoadError(
            f"The SCHEMA of stream {stream} describes {', '.join(odd)} by something that is no "
            "JSON Schema; correct the tap."
        )
    if missing := [key for key in keys if key not in properties]:
        raise LoadError(
            f"The SCHEMA of stream {stream} names the key {', '.join(missing)}, which is not "
            "among its properties; correct the key in the tap or its catalog."
        )
    names = fold_all(properties)
    return StreamSchema(
        stream,
        tuple(
            Column(
                property_name=name,
                name=names[name],
                type=TEXT if all_varchar else column_type(definition),
                definition=definition,
                is_key=name in keys,
            )
            for name, definition in properties.items()
        ),
    )
