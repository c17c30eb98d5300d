"""The statements that may be sent: a SELECT of plain columns from one table, and nothing else.

The same login may create, change and drop things (fact sheet, section 5), so a statement cannot be
made without being looked at: the back ends take a `Select` and no text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import sqlglot
from sqlglot import exp

from tap_xactly.tables import Column, checked_name
from tapsupport.errors import TapError

Cursor = Sequence[str | int]  # values to go on after, in the order of the columns they belong to

_ALLOWED = (
    exp.Select, exp.Column, exp.Identifier, exp.From, exp.Table, exp.Where, exp.And, exp.Or,
    exp.Paren, exp.EQ, exp.GT, exp.GTE, exp.LT, exp.Literal, exp.Neg, exp.Order, exp.Ordered,
    exp.Limit,
)  # fmt: skip
_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_UNSAFE = re.compile(r"[\\\x00-\x1f\x7f]")
_NUMBER = re.compile(r"-?\d{1,38}(\.\d{1,38})?")


@dataclass(frozen=True)
class Select:
    """A statement that was looked at.

    Attributes:
        text: What is sent.
        columns: What it selects, in order.
        label: The table, for messages.

    Raises:
        TapError: the text is anything but one SELECT of these columns from one table.
    """

    text: str
    columns: tuple[str, ...]
    label: str

    def __post_init__(self) -> None:
        if fault := _fault(self.text, self.columns):
            raise TapError(
                f"Reading {self.label}: the statement made for it was not sent, because {fault}. "
                "Only SELECT of named columns is. Correct the settings, the catalog or the state."
            )


def select(
    source: str,
    columns: Sequence[Column],
    *,
    conditions: Sequence[str] = (),
    order: Sequence[Column] = (),
    limit: int | None = None,
) -> Select:
    """Make a statement; `source` is schema.table, `conditions` all hold."""
    schema, _, table = source.partition(".")
    names = tuple(column.name for column in columns)
    text = f"SELECT {', '.join(names)} FROM {checked_name(schema, 'default_schema')}.{table}"
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    if order:
        text += f" ORDER BY {', '.join(column.name for column in order)}"
    if limit is not None:
        text += f" LIMIT {limit}"
    return Select(text, names, table)


def after(order: Sequence[Column], cursor: Cursor) -> list[str]:
    """The rows behind a cursor, as conditions of which one holds; the nearest rows come first.

    For (date, id): `date = d AND id > i`, then `date > d`. A cursor that is shorter than the order
    goes no further than its own columns.
    """
    pairs = [(column.name, literal(column, v)) for column, v in zip(order, cursor, strict=False)]
    found = []
    for length in range(len(pairs), 0, -1):
        same = [f"{name} = {value}" for name, value in pairs[: length - 1]]
        name, value = pairs[length - 1]
        found.append(" AND ".join([*same, f"{name} > {value}"]))
    return found


def any_of(conditions: Sequence[str]) -> str:
    """One condition out of several, in parentheses where it needs them."""
    if len(conditions) == 1:
        return conditions[0]
    return "(" + " OR ".join(f"({c})" if " AND " in c else c for c in conditions) + ")"


def literal(column: Column, value: object) -> str:
    """A value as it is written in a statement (fact sheet, section 5).

    Raises:
        TapError: the value cannot be one of this column, or cannot be written safely.
    """
    if column.kind == "date-time" and isinstance(value, str) and _ZULU.fullmatch(value):
        return f"'{value}'"
    if column.kind in ("integer", "number"):
        text = format(value, "f") if isinstance(value, Decimal) else str(value)
        if _NUMBER.fullmatch(text):
            return text
    if column.kind == "text" and isinstance(value, str) and not _UNSAFE.search(value):
        return "'" + value.replace("'", "''") + "'"
    raise TapError(
        f"Going on after a value of {column.name} failed: it is no {column.kind} that can be "
        "written in a statement. Remove the stream's bookmark from the state; if it comes again, "
        "set another key in the setting keys."
    )


def _fault(text: str, columns: tuple[str, ...]) -> str | None:
    try:
        trees = sqlglot.parse(text)
    except sqlglot.errors.SqlglotError:
        return "it cannot be understood"
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        return "it is no single SELECT"
    tree = trees[0]
    for node in tree.walk():
        if node.comments:
            return "it contains a comment"
        if not isinstance(node, _ALLOWED):
            return f"it contains {type(node).__name__}"
    if [selected.name for selected in tree.expressions] != list(columns):
        return "it selects something other than the columns"
    # What was understood is what is sent, with no second meaning of a quote.
    return None if tree.sql(copy=False) == text else "it reads differently than it is written"
