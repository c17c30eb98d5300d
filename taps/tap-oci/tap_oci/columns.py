"""From a file's header to a stream's columns.

Oracle's files differ in their columns, and in the order of them, even within a day ("oci.md",
section 5). A column of the file takes the place of the property that its header is called after;
one that the stream does not know becomes a new column with text.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILE_NAME, LINE_NUMBER = "file_name", "line_number"
FILE_CREATED, FILE_SIZE = "file_created_at", "file_size_bytes"
OF_THE_FILE = (FILE_NAME, LINE_NUMBER, FILE_CREATED, FILE_SIZE)
TAGS = "tags"
TAG_PREFIX = "tags/"
TEXT: dict[str, Any] = {"type": ["string", "null"]}
TEXT_TYPE = pa.string()
SCALE = 18  # decimals of quantities and costs; 20 digits stand before them
NUMBER = pa.decimal128(38, SCALE)
INSTANT = pa.timestamp("us", tz="UTC")


def column_name(header: str) -> str:
    """Return the column for a header: `lineItem/intervalUsageStart` is line_item_interval_...

    Always with the part before the slash: without it a new header could change an old name.
    """
    words = re.sub(r"[^0-9A-Za-z]+", "_", header)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words)
    return parted.lower().strip("_")


def arrow_type(definition: Mapping[str, Any]) -> pa.DataType:
    """Return the Arrow type for a property of our schemas."""
    if "x-sql-datatype" in definition:
        return NUMBER
    if definition.get("format") == "date-time":
        return INSTANT
    return pa.int64() if definition["type"] == "integer" else TEXT_TYPE


@dataclass(frozen=True)
class Layout:
    """The columns of a stream, as far as they are known.

    Attributes:
        properties: JSON Schema of each column that is selected, by name.
        ignored: Columns that are not.
        folds_tags: Whether tags go into one column and not into one each.
    """

    properties: Mapping[str, Mapping[str, Any]]
    ignored: frozenset[str] = frozenset()
    folds_tags: bool = True

    @property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema(
            [(name, arrow_type(definition)) for name, definition in self.properties.items()]
        )

    @property
    def json_columns(self) -> frozenset[str]:
        """Columns of JSON text, which are objects to whoever reads them."""
        return frozenset(n for n, d in self.properties.items() if "object" in d["type"])

    def with_columns(self, names: Iterable[str]) -> Layout:
        """Add the columns that are new, as text."""
        new = [name for name in names if name not in self.properties.keys() | self.ignored]
        if not new:
            return self
        properties = {**self.properties, **dict.fromkeys(new, TEXT)}
        return Layout(properties, self.ignored, self.folds_tags)

    def header(self, file_name: str, headers: Sequence[str]) -> Header:
        """Read a file's header.

        Raises:
            TapError: two headers would be the same column.
        """
        if repeated := [name for name, count in Counter(headers).items() if count > 1]:
            raise TapError(
                f"{file_name} has the column {repeated[0]} twice, so its values cannot be told "
                "apart. Ask Oracle for a correct file."
            )
        tags = [h for h in headers if self.folds_tags and h.startswith(TAG_PREFIX)]
        places: dict[str, str] = {}
        for header in headers:
            if header in tags:
                continue
            name = column_name(header)
            if not name:
                raise TapError(
                    f"{file_name} has a column without a name, number {headers.index(header) + 1}. "
                    "Ask Oracle for a correct file."
                )
            if name in places or name in OF_THE_FILE:
                raise TapError(
                    f"{file_name} has the column {header}, but {name} stands for "
                    f"{places.get(name, 'a column of the tap')} already. Rows of it would be "
                    "told wrong; if it is a tag, set tags to fold, else report it as a fault."
                )
            places[name] = header
        return Header(places, tuple(tags) if TAGS not in self.ignored else ())


@dataclass(frozen=True)
class Header:
    """A file's header.

    Attributes:
        places: The header of each column.
        tags: Headers that are to be folded into the column `tags`.
    """

    places: Mapping[str, str]
    tags: tuple[str, ...] = ()

    def types(self, layout: Layout, number: pa.DataType) -> dict[str, pa.DataType]:
        """Return the types to read headers as; those left out are text.

        Args:
            layout: The stream's columns.
            number: The type to read decimals as.
        """
        schema = layout.arrow_schema
        found = {
            header: schema.field(name).type
            for name, header in self.places.items()
            if name in layout.properties
        }
        return {h: number if kind == NUMBER else kind for h, kind in found.items()}
