"""Loading one view in one run: gone on with, or begun anew when the server's task is lost."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_zuora_revenue.archive import Archive
from tap_zuora_revenue.progress import Progress, read_state, written_state
from tap_zuora_revenue.query import RestartError, TooManyRowsError
from tap_zuora_revenue.reading import Reading
from tap_zuora_revenue.sending import Sending
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from tap_zuora_revenue.lanes import Lane
    from tap_zuora_revenue.streams import BiView
    from tap_zuora_revenue.tap import TapZuoraRevenue
    from tap_zuora_revenue.windows import Window

logger = logging.getLogger(__name__)


class Load:
    """One view in one run.

    Raises:
        TapError: the stream's state is not this tap's.
    """

    def __init__(self, tap: TapZuoraRevenue, stream: BiView, lane: Lane) -> None:
        self._tap = tap
        self._client = tap.client
        self._stream = stream
        self._view = stream.name
        self._lane = lane
        self._full = stream.reads_everything
        self._state = read_state(tap.read_stream_state(stream), stream.name)
        self._sending = Sending(stream, lane, tap.config["batch_file_pages"], self._save)

    def run(self) -> None:
        """Read and send the view, from its beginning once more if its task is lost.

        Raises:
            TapError: it could not be read whole.
        """
        progress = self._resumable() or self._fresh()
        has_restarted = False
        while True:
            reading = Reading(progress, self._tap.query_maker(self._view))
            try:
                return self._load(progress, reading)
            except TooManyRowsError:
                reason = "a query brought max_query_rows"
                self._split(progress.windows, reading.index)
            except RestartError as error:
                reason = str(error)
                if has_restarted or self._sending.says_resumes:
                    self._write_state()
                    raise self._lost(reason) from None
                has_restarted = True
            finally:
                self._client.cancel(self._view)
            if self._sending.says_resumes:
                raise self._lost(reason)
            logger.warning("%s: %s; reading it from its beginning.", self._view, reason)
            progress = self._fresh(progress.version)

    def run_sample(self, limit: int) -> None:
        """Send some rows and the state as it was, and cancel the task."""
        reading = Reading(self._fresh(), self._tap.query_maker(self._view))
        try:
            self._sending.send_sample(reading.pages(), limit)
        finally:
            self._client.cancel(self._view)
        self._write_state()

    def _load(self, progress: Progress, reading: Reading) -> None:
        root = self._tap.config.get("archive_root")
        archive = Archive(root, self._view, progress) if root else None
        sent = self._lane.rows
        self._sending.send(progress, reading.pages(), archive)
        if self._lane.rows - sent != reading.rows:
            raise TapError(
                f"{self._view}: {reading.rows:,} rows were read, but {self._lane.rows - sent:,} "
                "written. Report it as a fault of this tap."
            )
        if not self._sending.columns:
            self._nothing_came(progress)
        columns = self._sending.columns or self._state.columns
        end = progress.windows[-1].end
        self._state = replace(self._state, bookmark=end, columns=columns)
        self._write_state()

    def _nothing_came(self, progress: Progress) -> None:
        """Say that there are no rows; those that an earlier run has loaded go.

        Raises:
            TapError: the server counts some.
        """
        if not self._full:
            logger.info("%s: no row has changed.", self._view)
            return
        if not self._state.columns:
            logger.warning("%s has no rows, so it makes no table.", self._view)
            return
        for window in progress.windows:
            count = self._client.count(self._view, window)
            if count != 0:
                raise TapError(
                    f"{self._view} had rows before and brings none now, but the server counts "
                    f"{'none either' if count is None else f'{count:,}'}. Run again later."
                )
        logger.warning("%s has no rows any more; its table is emptied.", self._view)
        self._sending.send_empty(progress, self._state.columns)

    # How to begin

    def _fresh(self, after: int = 0) -> Progress:
        """Everything to read, with a version later than `after`."""
        start = self._tap.start_date
        if not self._full and self._state.bookmark:
            start = self._tap.reaching_back(self._state.bookmark)
        return Progress(
            version=max(time.time_ns() // 1_000_000, after + 1),
            full=self._full,
            query=self._client.query,
            windows=self._state.windows(start, self._tap.end_date),
        )

    def _resumable(self) -> Progress | None:
        """What an earlier run has left, if its task still lives; else its task is cancelled."""
        progress = self._state.progress
        self._state = replace(self._state, progress=None)
        if progress is None or progress.task_id is None:
            return None
        task = self._client.task(progress.task_id)
        fits = progress.full == self._full and progress.query == self._client.query
        if fits and task and task.lives:
            logger.info("%s: going on after page %d.", self._view, progress.pages)
            return progress
        if task and not task.is_broken:
            self._client.cancel_task(progress.task_id)
        logger.info("%s: the last run's task cannot be read on; beginning anew.", self._view)
        return None

    def _split(self, windows: tuple[Window, ...], index: int) -> None:
        """Divide the window that is too large; later runs begin with what was found.

        Raises:
            TapError: it cannot be divided.
        """
        if not self._stream.primary_keys:
            raise TapError(
                f"{self._view} has as many rows as one query brings, and no key to tell apart "
                "those at the seam of two windows. Give it table-key-properties in the catalog."
            )
        divided = [*windows[:index], *self._halves(windows[index]), *windows[index + 1 :]]
        splits = tuple(window.end for window in divided[:-1])
        self._state = replace(self._state, splits=splits)
        self._write_state()

    def _halves(self, window: Window) -> list[Window]:
        """Two windows, or more where the server counts too many rows in one of them."""
        halves = window.halves()
        if halves is None:
            raise TapError(
                f"{self._view}: {window.start} to {window.end} alone has more rows than one query "
                "brings. Ask the vendor's support to raise the limit, and raise max_query_rows."
            )
        planned: list[Window] = []
        for half in halves:
            count = self._client.count(self._view, half)
            is_small = count is None or count < self._tap.config["max_query_rows"]
            planned += [half] if is_small else self._halves(half)
        return planned

    # State

    def _save(self, progress: Progress) -> None:
        self._tap.write_stream_state(
            self._stream, written_state(replace(self._state, progress=progress))
        )

    def _write_state(self) -> None:
        self._tap.write_stream_state(self._stream, written_state(self._state))

    def _lost(self, reason: str) -> TapError:
        return TapError(
            f"{self._view} could not be read to its end: {reason}. Nothing of it is published; "
            "run again, which begins it anew."
        )
