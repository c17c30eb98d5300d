"""All windows of one view, read in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_zuora_revenue.csv_pages import Page
    from tap_zuora_revenue.progress import Progress
    from tap_zuora_revenue.query import Query
    from tap_zuora_revenue.windows import Window


class Reading:
    """Reads what is left of a view.

    Attributes:
        index: The window that is being read.
        rows: Rows read by this object.
    """

    def __init__(self, progress: Progress, make_query: Callable[[Window], Query]) -> None:
        self.index = progress.index
        self.rows = 0
        self._progress = progress
        self._make_query = make_query

    def pages(self) -> Iterator[tuple[Page, Progress]]:
        """Yield each page, and the progress that is made once it was sent.

        Raises:
            RestartError, TooManyRowsError, TapError: see `Query.read`.
        """
        for window in self._progress.windows[self._progress.index :]:
            query = self._make_query(window)
            if self.index == self._progress.index and self._progress.task_id:
                query.task_id = self._progress.task_id
                query.pages, query.rows = self._progress.pages, self._progress.rows
                query.header = self._progress.columns or None
            for page in query.read():
                self.rows += page.rows.num_rows
                yield (
                    page,
                    replace(
                        self._progress,
                        index=self.index,
                        task_id=query.task_id,
                        pages=query.pages,
                        rows=query.rows,
                    ),
                )
            self.index += 1
