"""JSON in columns: many tag columns folded into one, and Oracle's own JSON looked over.

Tags repeat a lot, so Python sees each value of a block once; the rows are Arrow's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping


def folded(columns: Mapping[str, pa.StringArray], rows: int) -> pa.StringArray:
    """Return one JSON object for each row, with the columns that have a value there.

    A row without any gets null.

    Args:
        columns: Values by the key that they get in the object.
        rows: How many there are.
    """
    members = [_members(k, v) for k, v in columns.items() if v.null_count < rows]
    if not members:
        return pa.nulls(rows, pa.string())
    # Not with commas between and nulls skipped: Arrow 26 loses the rows that are null everywhere.
    joined = pc.binary_join_element_wise(*members, "", null_handling="replace", null_replacement="")
    joined = pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)
    return pc.binary_join_element_wise("{", pc.ascii_rtrim(joined, ","), "}", "")


def are_objects(column: pa.StringArray) -> bool:
    """Whether each text is a JSON object."""
    try:
        for text in pc.unique(column).drop_null().to_pylist():
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return True


def _members(key: str, values: pa.StringArray) -> pa.StringArray:
    """`"key":"value",` for each value; null stays null."""
    encoded = pc.dictionary_encode(values)
    start = f"{_json(key)}:"
    texts = [f"{start}{_json(value)}," for value in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
