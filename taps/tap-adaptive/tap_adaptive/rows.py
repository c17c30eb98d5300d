"""Elements of an answer to flat rows: hierarchies get parent, depth and path.

Rows come when their element ends, so those below a row come before it. What was read is removed
from the tree, which therefore holds one row and those above it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_adaptive.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lxml import etree

    from tap_adaptive.answer import Answer

logger = logging.getLogger(__name__)

PATH_SEPARATOR = " / "
OUTPUT_DEPTH = 2  # response, output
OF_CONTAINERS = {"seqNo", "displayNameType"}


@dataclass(frozen=True)
class Shape:
    """Where the rows of an answer are.

    Attributes:
        containers: What may stand directly below `<output>` around the rows; none: anything.
        rows: The rows' tags; none: the children of the container are the rows.
        owner: The element around several rows which they belong to.
        skipped: Elements inside of rows, or beside them, that belong to another stream.
    """

    containers: Collection[str] = ()
    rows: Collection[str] = ()
    owner: str = ""
    skipped: Collection[str] = ()

    def is_row(self, tag: str, depth: int) -> bool:
        return tag in self.rows if self.rows else depth == OUTPUT_DEPTH + 1

    def is_strange(self, tag: str, around: str, depth: int) -> bool:
        """Whether the element stands in a container and is nothing that is known there."""
        is_inside = depth == OUTPUT_DEPTH + 1 and around in self.containers
        return is_inside and tag not in (*self.rows, *self.skipped, self.owner)


@dataclass(frozen=True)
class Row:
    """An element that is a row, with those rows around it, outermost first, and its owner."""

    element: etree._Element
    above: tuple[etree._Element, ...] = ()
    owner: etree._Element | None = None

    @property
    def parent(self) -> etree._Element | None:
        return self.above[-1] if self.above else None

    @property
    def depth(self) -> int:
        """0 for a row that is in no other."""
        return len(self.above)

    @property
    def path(self) -> str:
        """The names from the outermost row to this one."""
        return PATH_SEPARATOR.join(
            element.get("name") or element.get("code") or ""
            for element in (*self.above, self.element)
        )


def read_rows(answer: Answer, shape: Shape) -> Iterator[Row]:
    """Yield the rows of an answer; their elements are gone when the next one is asked for.

    Raises:
        AnswerError: the output holds something else than the rows' containers, or these hold no
            row but something else.
    """
    open_elements: list[etree._Element] = []
    strange: set[str] = set()
    found_rows = 0
    for event, element in answer.events():
        depth = len(open_elements)
        if event == "start":
            if depth == OUTPUT_DEPTH and open_elements[1].tag == "output":
                _check_container(answer, shape, element)
                found_rows = 0
            open_elements.append(element)
            continue
        open_elements.pop()
        depth -= 1
        if len(open_elements) < OUTPUT_DEPTH or open_elements[1].tag != "output":
            continue
        is_lone = depth == OUTPUT_DEPTH and not found_rows and _is_lone_row(shape, element)
        if is_lone or shape.is_row(element.tag, depth):
            found_rows += 1
            yield _row(element, open_elements, shape)
            _remove(element)
        elif element.tag in shape.skipped:
            _remove(element)
        elif shape.is_strange(element.tag, open_elements[-1].tag, depth):
            strange.add(element.tag)
            _remove(element)
    _check_rest(answer, shape, found_rows, sorted(strange))


def _row(element: etree._Element, around: list[etree._Element], shape: Shape) -> Row:
    inner = around[OUTPUT_DEPTH:]
    above = tuple(other for other in inner if other.tag in shape.rows)
    owner = next((other for other in inner if other.tag == shape.owner), None)
    return Row(element, above, owner)


def _is_lone_row(shape: Shape, element: etree._Element) -> bool:
    """A row without a container around it, where the sheet does not know the shape."""
    return not shape.rows and bool(set(element.keys()) - OF_CONTAINERS)


def _check_container(answer: Answer, shape: Shape, element: etree._Element) -> None:
    expected = {*shape.containers, *shape.rows}
    if expected and element.tag not in expected:
        raise _unexpected(answer, f"<{element.tag}>", shape)


def _check_rest(answer: Answer, shape: Shape, found_rows: int, strange: list[str]) -> None:
    """What was no row may be new beside the rows, but it must not be all there was."""
    tags = ", ".join(f"<{tag}>" for tag in strange)
    if not found_rows and (strange or answer.has_text):
        raise _unexpected(answer, tags or "text", shape)
    if strange:
        logger.warning(
            "%s: the answer also holds %s, which this tap does not know and left out.",
            answer.method, tags,
        )  # fmt: skip


def _unexpected(answer: Answer, found: str, shape: Shape) -> AnswerError:
    expected = " or ".join(f"<{tag}>" for tag in (*shape.containers, *shape.rows)) or "elements"
    return AnswerError(
        f"{answer.method}: the output holds {found} where {expected} was expected, so nothing of "
        "it was used. See whether api_version is one that this tap knows."
    )


def _remove(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def as_object(element: etree._Element) -> dict[str, Any]:
    """An element of unknown shape as JSON: attributes, lists of children by tag, `text`."""
    found: dict[str, Any] = {str(name): str(value) for name, value in element.items()}
    for child in element:
        found.setdefault(child_name(element, child), []).append(as_object(child))
    if element.text and element.text.strip():
        found["text"] = element.text.strip()
    return found


def child_name(element: etree._Element, child: etree._Element) -> str:
    """What a child of unknown shape is called: its tag, unless an attribute has that name."""
    tag = str(child.tag)
    return f"{tag}_elements" if tag in element.attrib else tag
