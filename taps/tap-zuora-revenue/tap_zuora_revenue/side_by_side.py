"""Streams synced several at once, each to its own end, in threads that a stop need not wait for."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from tapsupport.errors import ReaderGoneError, TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singer_sdk import Stream

logger = logging.getLogger(__name__)

# The system may hand a signal to any thread, and Python handles it when the main thread moves on.
SIGNAL_SECONDS = 0.2
STOP_SECONDS = 2.0  # for threads that are not waiting for the server


def sync_streams(
    streams: Sequence[Stream], count: int, check: Callable[[], None], stop: Callable[[], None]
) -> dict[str, TapError]:
    """Sync streams, `count` at once, in their order; return what went wrong by stream.

    Args:
        streams: What to sync.
        count: How many threads there are.
        check: Called again and again; may raise to end the run.
        stop: Called when the run ends early; what streams call next must end them.

    Raises:
        ReaderGoneError: nobody reads what the streams send, so the others are not begun.
        BaseException: any other error than a TapError, or one of `check`, ends them likewise.
    """
    waiting: queue.SimpleQueue[Stream | None] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()
    for item in (*streams, *[None] * count):
        waiting.put(item)

    def work() -> None:
        while stream := waiting.get():
            ended.put((stream.name, _outcome(stream)))

    threads = [threading.Thread(target=work, name=f"view-{n}", daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        return _collect(ended, len(streams), check)
    except BaseException:
        stop()
        until = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        raise


def _outcome(stream: Stream) -> BaseException | None:
    try:
        stream.sync()
    except BaseException as error:  # noqa: BLE001 - raised again in the main thread
        return error
    return None


def _collect(
    ended: queue.SimpleQueue[tuple[str, BaseException | None]],
    left: int,
    check: Callable[[], None],
) -> dict[str, TapError]:
    failures: dict[str, TapError] = {}
    while left:
        check()
        try:
            name, error = ended.get(timeout=SIGNAL_SECONDS)
        except queue.Empty:
            continue
        left -= 1
        if isinstance(error, TapError) and not isinstance(error, ReaderGoneError):
            logger.error("%s", error)
            failures[name] = error
        elif error is not None:
            raise error
    check()
    return failures
