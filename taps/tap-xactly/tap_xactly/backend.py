"""What both ways into Xactly offer: run a SELECT, yield column batches."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tap_xactly.statement import Select

T = TypeVar("T")
Columns = list[tuple[object, ...]]  # one tuple of delivered values for each column selected

AHEAD = 2  # batches that are read while the one before is being sent
POLL_SECONDS = 0.2


class ResultLostError(TapError):
    """The rest of a result cannot be had; the statement may be run again from where it got to."""


class LoginRefusedError(TapError):
    """Nothing can be read with these credentials, and trying again may lock the user out."""


class Backend(Protocol):
    """One way in. Connects when first needed."""

    def select(self, statement: Select) -> Generator[Columns, None, None]:
        """Run a statement and yield its result in batches, of which none is empty.

        Raises:
            ResultLostError: it ended in the middle.
            TapError: it failed, and would again.
        """

    def discover(self, table: str) -> dict[str, str]:
        """The table's columns and their kinds, as far as this way in can show them."""

    def give_up(self) -> None:
        """Forget a call that did not come back, so that the next one begins afresh."""

    def close(self) -> None:
        """End the session; never raises."""


def as_columns(rows: Sequence[Sequence[object]], statement: Select) -> Columns:
    """Turn rows into columns.

    Raises:
        TapError: a row has more or fewer values than the statement has columns.
    """
    wanted = len(statement.columns)
    if odd := next((row for row in rows if len(row) != wanted), None):
        raise TapError(
            f"Reading {statement.label}: a row has {len(odd)} values for {wanted} columns, so none "
            "can be told apart. Run again; if it stays, ask Xactly what the statement returns."
        )
    return list(zip(*rows, strict=True))


def read_ahead(
    batches: Generator[T, None, None], meanwhile: Callable[[], None], seconds: float | None
) -> Iterator[T]:
    """Take batches in a thread of its own, so that a call that hangs can be left.

    Args:
        batches: Runs in the other thread, and is closed there.
        meanwhile: Called again and again while waiting; may raise to end it.
        seconds: The longest wait for one batch; None leaves it to `batches`.

    Raises:
        ResultLostError: no batch came within `seconds`.
    """
    ready: queue.Queue[T | _End] = queue.Queue(AHEAD)
    left = threading.Event()
    thread = threading.Thread(target=_fill, args=(batches, ready, left), name="select", daemon=True)
    thread.start()
    try:
        while True:
            item = _next(ready, meanwhile, seconds)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        left.set()


class _End:
    """The last item of a queue."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _next(
    ready: queue.Queue[T | _End], meanwhile: Callable[[], None], seconds: float | None
) -> T | _End:
    until = None if seconds is None else time.monotonic() + seconds
    while until is None or time.monotonic() < until:
        meanwhile()
        with suppress(queue.Empty):
            return ready.get(timeout=POLL_SECONDS)
    raise ResultLostError(f"No answer came for {seconds:.0f} seconds.")


def _fill(
    batches: Generator[T, None, None], ready: queue.Queue[T | _End], left: threading.Event
) -> None:
    error: BaseException | None = None
    try:
        with closing(batches):
            for batch in batches:
                if not _put(ready, batch, left):
                    return
    except BaseException as caught:  # noqa: BLE001 - raised again in the caller's thread
        error = caught
    _put(ready, _End(error), left)


def _put(ready: queue.Queue[T | _End], item: T | _End, left: threading.Event) -> bool:
    while not left.is_set():
        with suppress(queue.Full):
            ready.put(item, timeout=POLL_SECONDS)
            return True
    return False
