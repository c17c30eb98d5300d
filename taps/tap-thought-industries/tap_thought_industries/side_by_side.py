"""Several windows fetched at once and handed over whole, in their order, in bounded memory."""

from __future__ import annotations

import json
import tempfile
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from tap_thought_industries.days import Window

    Fetch = Callable[[Window], Iterable[dict[str, Any]]]

WINDOWS_AHEAD = 4  # for each thread: a long window must not leave the other threads idle
BYTES_IN_MEMORY = 1 << 20  # of each window; the rest waits on disk


class Shelf:
    """The records of one window, in memory or in a file without a name that ends with it."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - outlives this
        self.rows = 0

    def add(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")
        self.rows += 1

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield them once, in the order added, and let go of them."""
        self._file.seek(0)
        yield from map(json.loads, self._file)
        self.close()

    def close(self) -> None:
        self._file.close()


def fetch_in_order(
    windows: Iterable[Window], fetch: Fetch, count: int
) -> Iterator[tuple[Window, Shelf]]:
    """Fetch windows in `count` threads and yield each when it, and all before it, are whole.

    Raises:
        BaseException: whatever `fetch` raised for the window whose turn it is; the others end
            before their next record.
    """
    given_up = threading.Event()
    waiting: deque[tuple[Window, Future[Shelf]]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="window")

    def collect(window: Window) -> Shelf:
        shelf = Shelf()
        for record in fetch(window):
            if given_up.is_set():
                break
            shelf.add(record)
        return shelf

    try:
        for window in windows:
            waiting.append((window, pool.submit(collect, window)))
            if len(waiting) == count * WINDOWS_AHEAD:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        given_up.set()
        pool.shutdown(cancel_futures=True)


def _next(waiting: deque[tuple[Window, Future[Shelf]]]) -> tuple[Window, Shelf]:
    window, future = waiting.popleft()
    return window, future.result()
