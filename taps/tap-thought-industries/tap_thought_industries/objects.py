"""Pages of objects: a cursor to the next page, or numbered pages ("thought_industries.md", 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_thought_industries.client import Page


def all_objects(ask: Callable[[dict[str, Any]], Page], stream: str) -> Iterator[dict[str, Any]]:
    """Yield every object of a list.

    Args:
        ask: Asks the endpoint with a query.
        stream: The stream's name, for errors.

    Raises:
        TapError: a request failed, or an answer does not say how to go on where it should.
    """
    asked: list[dict[str, Any]] = [{}]
    while True:
        page = ask(asked[-1])
        if page.has_more is None and page.items and not page.cursor:
            raise TapError(
                f"{stream}: the answer does not say whether there are more pages, and its "
                f"{len(page.items)} objects must not pass for all of them. Report it as a fault of "
                "this tap."
            )
        yield from page.items
        following = _next(page)
        if following is None:
            return
        if not following or following in asked:
            raise TapError(
                f"{stream}: the answer says that there are more pages, and not where. Run again; "
                "if it lasts, report it as a fault of this tap."
            )
        asked.append(following)


def _next(page: Page) -> dict[str, Any] | None:
    """The query of the next page; None after the last, empty when it is not told."""
    has_more = bool(page.cursor) if page.has_more is None else page.has_more
    if not has_more:
        return None
    if page.cursor:
        return {"cursor": page.cursor}
    return {"page": page.number + 1} if page.number else {}
