"""What a tap may tell this loader of a stream, as keywords of the stream's JSON Schema.

Other targets ignore them. They stand above the loader's own settings and below its setting
`streams`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

# From the keyword to the setting for which it stands.
SETTINGS = {
    "x-load-method": "load_method",
    "x-slice-column": "slice_column",
    "x-order-column": "order_column",
    "x-max-deleted-share": "max_deleted_share",
}
DROPPED_COLUMNS = "x-dropped-columns"
RESUMES = "x-resumes"
KEEPS_NEWER = "x-keeps-newer"
SLICES = "x-slices"
DELETED_AT = "x-deleted-at-column"
INDEPENDENT = "x-independent"


@dataclass(frozen=True)
class Hints:
    """The keywords of one SCHEMA message.

    Attributes:
        settings: Values for the loader's settings, by their names.
        dropped_columns: Properties that the source had once; their columns are to be dropped.
        resumes: Whether the tap goes on with a snapshot whose first rows an earlier run sent.
        keeps_newer: Whether an overwrite leaves rows whose order column is above all of its own.
        slices: Slices that the next snapshot replaces though no row of it may be theirs. Other
            than the rest, they may change from one SCHEMA to the next.
        deleted_at_column: Where `mark-deleted` writes when a row was found gone, instead of into
            its own two columns.
        is_independent: Whether the stream's bookmark may stand still while those of others move
            on, so that an error of this stream need not stop them: the tap reads no other stream
            by its rows, and sends the state that it was given before its first SCHEMA.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    dropped_columns: tuple[str, ...] = ()
    resumes: bool = False
    keeps_newer: bool = False
    slices: tuple[str | int, ...] = field(default=(), compare=False)
    deleted_at_column: str | None = None
    is_independent: bool = False


def read_hints(stream: str, schema: Mapping[str, Any]) -> Hints:
    """Take the keywords from a stream's schema.

    Raises:
        LoadError: one of them has a value of another kind than it must have.
    """
    return Hints(
        settings={name: schema[key] for key, name in SETTINGS.items() if key in schema},
        dropped_columns=_listed(stream, schema, DROPPED_COLUMNS, (str,), "names"),
        resumes=bool(schema.get(RESUMES)),
        keeps_newer=bool(schema.get(KEEPS_NEWER)),
        slices=_listed(stream, schema, SLICES, (str, int), "texts or integers"),
        deleted_at_column=_name(stream, schema, DELETED_AT),
        is_independent=says_independent(schema),
    )


def says_independent(schema: Mapping[str, Any]) -> bool:
    """Return whether a stream's schema says that it is independent of others."""
    return schema.get(INDEPENDENT) is True


def _name(stream: str, schema: Mapping[str, Any], keyword: str) -> str | None:
    """A keyword's name of a column, None where there is none."""
    found = schema.get(keyword)
    if found is None or (isinstance(found, str) and found):
        return found
    raise LoadError(
        f"The SCHEMA of stream {stream} has {keyword} {found!r}; it must be the name of a column. "
        "Correct the tap."
    )


def _listed(
    stream: str, schema: Mapping[str, Any], keyword: str, kinds: tuple[type, ...], meaning: str
) -> tuple[Any, ...]:
    """A keyword's list, empty where there is none."""
    found = schema.get(keyword, [])
    if not isinstance(found, list) or not all(isinstance(item, kinds) for item in found):
        raise LoadError(
            f"The SCHEMA of stream {stream} has {keyword} {found!r}; it must be a list of "
            f"{meaning}. Correct the tap."
        )
    return tuple(found)
