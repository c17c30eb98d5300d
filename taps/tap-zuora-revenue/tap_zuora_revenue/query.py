"""One query: a view in a window, read page by page ("zuora_revenue.md", sections 6 and 8).

Page 1 begins a background task at the server; its continuation token asks for the other pages,
which may not be ready yet. The answer to the page behind the last one ends the query.
"""

from __future__ import annotations

import enum
import logging
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_zuora_revenue.answers import (
    NO_ROWS,
    NO_SUCH_PAGE,
    OK,
    is_limited,
    is_pending,
)
from tap_zuora_revenue.csv_pages import BrokenPageError, Page, read_page
from tap_zuora_revenue.waiting import Waiting
from tapsupport.errors import TapError
from tapsupport.http import RetriableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from tap_zuora_revenue.client import Client
    from tap_zuora_revenue.tasks import Task
    from tap_zuora_revenue.waiting import Patience
    from tap_zuora_revenue.windows import Window

logger = logging.getLogger(__name__)

TOKEN = "continuation-token"  # noqa: S105 - a header's name
FIRST_PAGE_TRIES = 6
LONGEST_WAIT_SECONDS = 60.0
WAITS_BEFORE_LOOK = 5  # answers "not yet cached" before the task's status is asked for
LOOKS_AT_FINISHED = 5  # a finished task's page that does not come after so many is lost
BROKEN_PAGE_TRIES = 4
TOTAL_ROWS = re.compile(
    r"total[\s_]*(?:number[\s_]*of[\s_]*)?rows\D{0,20}?(\d{1,3}(?:,\d{3})+|\d+)", re.IGNORECASE
)


class RestartError(Exception):
    """The server's task is of no use any more; the view must be read from its beginning."""


class TooManyRowsError(Exception):
    """The window has as many rows as one query can bring, so there may be more."""


class Answer(enum.Enum):
    """An answer that holds no page."""

    NONE = "there is none"
    LATER = "ask again"


@dataclass
class _Tries:
    """What went wrong with one page so far."""

    broken: int = 0
    missing: int = 0


@dataclass
class Query:
    """The pages of one view in one window.

    Attributes:
        client: The tenant.
        view: The view's name.
        window: Its `fromDate` and `toDate`.
        patience: For pages that are not ready, and for a free place at the server.
        max_rows: Rows at which the server stops a query.
        header: The columns of the page read last.
        task_id: The continuation token; None before page 1.
        pages: How many pages were read.
        rows: How many rows were read.
    """

    client: Client
    view: str
    window: Window
    patience: Patience
    max_rows: int
    header: tuple[str, ...] | None = None
    task_id: str | None = None
    pages: int = 0
    rows: int = 0
    _full: int = field(default=0, init=False)  # rows of the largest page
    _last: int = field(default=0, init=False)  # rows of the last page

    def read(self) -> Iterator[Page]:
        """Yield the pages that were not read yet, none without rows.

        Raises:
            RestartError: see there.
            TooManyRowsError: see there.
            TapError: refused, lost, or another number of rows than the server says.
        """
        self.client.begin(self.view, self.window, self.task_id)
        page = self._page(self.pages + 1) if self.task_id else self._first_page()
        while page:
            self._take(page)
            yield page
            page = self._page(self.pages + 1)
        self.client.end(self.view)

    def _take(self, page: Page) -> None:
        if self._last < self._full:
            raise RestartError(f"page {self.pages} had fewer rows than the others: it was cut")
        self._last = page.rows.num_rows
        self._full = max(self._full, self._last)
        self.pages, self.header = page.number, page.header
        self.rows += self._last
        if self.rows >= self.max_rows:
            raise TooManyRowsError

    # Page 1

    def _first_page(self) -> Page | None:
        """Begin the task, or find the one that a lost answer had begun."""
        tries = 0
        waiting = Waiting(self.view, "a free place for its query", self.patience)
        while True:
            response: requests.Response | None = None
            try:
                response = self.client.page(self.view, self.window, 1, None)
                if response.status_code in (NO_ROWS, NO_SUCH_PAGE):
                    self._confirm_empty(response)
                    return None
                failure = self._take_token(response)
            except RetriableError as error:
                failure = error
            if self.task_id:
                return self._page(1, response)
            if task := self.client.find_task(self.view, self.window):
                self._adopt(task.id)
                return self._page(1)
            if failure is None:
                waiting.sleep(response)
            else:
                tries += 1
                self._pause(failure, tries)

    def _take_token(self, response: requests.Response) -> TapError | None:
        """Take the token if it is there; else say what is wrong, None for a query that must wait.

        Raises:
            TapError: the query is refused for good.
        """
        if token := response.headers.get(TOKEN):
            self._adopt(token)
            return None
        if is_limited(response) or is_pending(response):
            return None
        if response.status_code != OK:
            raise self.client.refusal(self.view, response)
        try:
            read_page(1, response.content, None)
        except BrokenPageError as error:
            return TapError(f"{self.view}: page 1 {error}. Run again later.")
        return TapError(
            f"{self.view}: page 1 came without the header {TOKEN}, so no other page can be read. "
            "See whether a proxy takes it away."
        )

    def _adopt(self, task_id: str) -> None:
        self.task_id = task_id
        self.client.begin(self.view, self.window, task_id)

    def _pause(self, failure: TapError, tries: int) -> None:
        if tries >= FIRST_PAGE_TRIES:
            raise failure
        logger.warning("%s Trying page 1 again.", failure)
        time.sleep(min(2.0**tries, LONGEST_WAIT_SECONDS))

    def _confirm_empty(self, response: requests.Response) -> None:
        """204 says that there are no rows; 404 says it only if none are counted."""
        if response.status_code == NO_ROWS:
            return
        count = self.client.count(self.view, self.window)
        if count != 0:
            found = "could not be counted" if count is None else f"are {count:,}"
            raise TapError(
                f"{self.view}: the server has no page 1, but its rows {found}. Run again later."
            )

    # Pages of a task

    def _page(self, number: int, response: requests.Response | None = None) -> Page | None:
        """Ask for a page until it comes; None behind the last one."""
        tries = _Tries()
        waiting = Waiting(self.view, f"page {number}", self.patience)
        while True:
            if response is None:
                response = self.client.page(self.view, self.window, number, self.task_id)
            found = self._understand(number, response, tries)
            if found is not Answer.LATER:
                return found if isinstance(found, Page) else None
            waiting.sleep(response)
            response = None

    def _understand(self, number: int, response: requests.Response, tries: _Tries) -> Page | Answer:
        if response.status_code == OK:
            return self._whole_page(number, response, tries)
        if response.status_code == NO_SUCH_PAGE:
            if number == 1:
                self._confirm_empty(response)
            else:
                self._check_total(response.text)
            return Answer.NONE
        if response.status_code == NO_ROWS or is_pending(response):
            return self._not_there(number, tries, is_sure=response.status_code == NO_ROWS)
        if is_limited(response):
            return Answer.LATER
        raise self.client.refusal(self.view, response)

    def _whole_page(self, number: int, response: requests.Response, tries: _Tries) -> Page | Answer:
        try:
            page = read_page(number, response.content, self.header)
        except BrokenPageError as error:
            tries.broken += 1
            if tries.broken >= BROKEN_PAGE_TRIES:
                raise TapError(
                    f"{self.view}: page {number} {error}, {tries.broken} times. Run again later."
                ) from None
            logger.warning("%s: page %d %s; asking again.", self.view, number, error)
            return Answer.LATER
        if page.rows.num_rows:
            return page
        return self._not_there(number, tries, is_sure=True)  # nothing but a header

    def _not_there(self, number: int, tries: _Tries, *, is_sure: bool) -> Answer:
        """No page, or not yet: ask the task's status, at once if this may well be the end."""
        if is_sure and number == 1:
            return Answer.NONE
        tries.missing += 1
        is_short = number > 1 and self._last < self._full
        looks, rest = divmod(tries.missing, 1 if is_sure or is_short else WAITS_BEFORE_LOOK)
        return Answer.NONE if not rest and self._has_ended(number, looks) else Answer.LATER

    def _check_total(self, text: str) -> None:
        """At the end of the pages: has every row come that the server says there are?"""
        found = TOTAL_ROWS.search(text)
        total = int(found[1].replace(",", "")) if found else None
        if total is None and (task := self._task()) and task.queue != "active":
            total = task.rows
        if total is None:
            logger.info("%s: the server does not say how many rows there are.", self.view)
        elif total != self.rows:
            raise TapError(
                f"{self.view}: the server says that there are {total:,} rows, but {self.rows:,} "
                f"came in {self.pages} pages. Nothing is published; run again."
            )

    def _has_ended(self, number: int, looks: int) -> bool:
        """Ask the task's status why a page does not come: True when there is none.

        Raises:
            RestartError: it never will.
        """
        task = self._task()
        if task is None or (task.rows is None and task.queue == "draining"):
            return self._has_ended_unseen(number)
        if task.is_broken:
            said = f": {task.message}" if task.message else ""
            raise RestartError(f"its task is {task.status}{said}")
        if task.queue == "stale":
            raise RestartError("its task is stale")
        if task.queue == "active":
            return False
        if task.rows == self.rows:
            return True
        if looks >= LOOKS_AT_FINISHED:
            raise RestartError(f"page {number} of its finished task does not come")
        return False

    def _has_ended_unseen(self, number: int) -> bool:
        """The task is not listed: right behind a last page that was full, if there was one."""
        if number > 1 and self._last < self._full:
            return True
        count = self.client.count(self.view, self.window) if number > 1 else None
        if count is not None and count <= self.rows:
            return True
        raise RestartError("its task has gone, and not all of its rows had come")

    def _task(self) -> Task | None:
        return self.client.task(self.task_id) if self.task_id else None
