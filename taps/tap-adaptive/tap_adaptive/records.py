"""Rows to records, by the stream's JSON Schema.

Booleans come as 0/1 and as true/false in one and the same element; an empty attribute is null; what
the schema does not know is kept as text in `extra` (sheet, sections 4 and 6).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from tap_adaptive.errors import AnswerError
from tap_adaptive.rows import as_object, child_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lxml import etree

    from tap_adaptive.rows import Row

EXTRA = "extra"
BOOLEANS = {"0": False, "1": True, "false": False, "true": True}


class Recorder:
    """Makes records of one stream.

    Args:
        method: For messages.
        schema: The stream's JSON Schema.
        key: Columns that no record may lack.
        ignored: Tags of children that are rows of their own, or another stream's.
    """

    def __init__(
        self,
        method: str,
        schema: Mapping[str, Any],
        key: Collection[str],
        ignored: Collection[str],
    ) -> None:
        self._method = method
        self._properties: Mapping[str, Any] = schema["properties"]
        self._key = key
        self._ignored = ignored
        self._columns: dict[str, tuple[str, Callable[[str], Any]] | None] = {}

    def record(self, row: Row) -> dict[str, Any]:
        """The row's attributes and children, and its place in the hierarchy.

        Raises:
            AnswerError: a value is not what its column holds, or the key is missing.
        """
        record: dict[str, Any] = dict.fromkeys(self._properties)
        extra = self._attributes(row.element, record)
        self._children(row.element, record, extra)
        self._place(row, record)
        record[EXTRA] = extra or None
        if missing := [name for name in self._key if record[name] is None]:
            raise AnswerError(
                f"{self._method}: a <{row.element.tag}> has no {', '.join(missing)}, which is the "
                "key of its table. Report it as a fault of this tap."
            )
        return record

    def _attributes(self, element: etree._Element, record: dict[str, Any]) -> dict[str, Any]:
        """Fill in the attributes; returns those that have no column."""
        extra = {}
        for name, text in element.items():
            known = self._column(str(name))
            if known is None:
                extra[str(name)] = str(text)
            elif text:
                record[known[0]] = self._value(known, str(text))
        return extra

    def _value(self, column: tuple[str, Callable[[str], Any]], text: str) -> Any:  # noqa: ANN401
        name, convert = column
        try:
            return convert(text)
        except (KeyError, ValueError):
            kind = self._properties[name].get("format") or self._properties[name]["type"][0]
            raise AnswerError(
                f"{self._method}: {name} holds a text that is no {kind}. Report it as a fault of "
                "this tap."
            ) from None

    def _column(self, attribute: str) -> tuple[str, Callable[[str], Any]] | None:
        if attribute not in self._columns:
            name = snake_case(attribute)
            definition = self._properties.get(name)
            known = (name, converter(definition)) if definition else None
            self._columns[attribute] = known
        return self._columns[attribute]

    def _children(
        self, element: etree._Element, record: dict[str, Any], extra: dict[str, Any]
    ) -> None:
        for child in element:
            tag = str(child.tag)
            if tag in self._ignored:
                continue
            if tag in ("attributes", "properties") and tag in self._properties:
                record[tag] = [_snake_keys(item) for item in child]
            elif tag == "subscriptions" and tag in self._properties:
                record[tag] = {
                    snake_case(str(k)): BOOLEANS.get(str(v), str(v)) for k, v in child.items()
                }
            else:
                extra.setdefault(child_name(element, child), []).append(as_object(child))
        if element.text and element.text.strip():
            extra["text"] = element.text.strip()

    def _place(self, row: Row, record: dict[str, Any]) -> None:
        if "depth" in self._properties:
            record["parent_id"] = None if row.parent is None else row_id(self._method, row.parent)
            record["depth"], record["path"] = row.depth, row.path
        if "parent_name" in self._properties and row.parent is not None:
            record["parent_name"] = row.parent.get("name")


def row_id(method: str, element: etree._Element) -> int:
    """The id of a row's element.

    Raises:
        AnswerError: it has none, or one that is no number.
    """
    found = element.get("id", "")
    if not found.isdecimal():
        raise AnswerError(
            f"{method}: a <{element.tag}> has no number as its id, which tells whose rows are "
            "whose. Report it as a fault of this tap."
        )
    return int(found)


def snake_case(name: str) -> str:
    """`shortName` and `short-name` to `short_name`; `displayNameType` to `display_name_type`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def converter(definition: Mapping[str, Any]) -> Callable[[str], Any]:
    """What makes a column's value of an attribute's text; raises KeyError or ValueError."""
    kind = definition["type"][0]
    if kind == "integer":
        return int
    if kind == "boolean":
        return lambda text: BOOLEANS[text.lower()]
    if kind == "array":
        item = converter(definition["items"])
        return lambda text: [item(part.strip()) for part in text.split(",") if part.strip()]
    formats: dict[str, Callable[[str], Any]] = {
        "date": lambda text: dt.date.fromisoformat(text).isoformat(),
        "date-time": lambda text: dt.datetime.fromisoformat(text).isoformat(),
    }
    return formats.get(definition.get("format", ""), str)


def _snake_keys(element: etree._Element) -> dict[str, str]:
    return {snake_case(str(name)): str(value) for name, value in element.items()}
