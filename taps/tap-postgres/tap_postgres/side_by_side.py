"""Streams synced several at once, each to its own end."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from tapsupport.errors import ReaderGoneError, TapError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk import Stream

    from tapsupport.process import ManneredTap

logger = logging.getLogger(__name__)

# The system may hand a signal to any thread, and Python handles it when the main thread moves on.
SIGNAL_SECONDS = 0.2


def sync_streams(streams: Iterable[Stream], count: int, tap: ManneredTap) -> dict[str, TapError]:
    """Sync streams, `count` at once, and return what went wrong by stream.

    Raises:
        ReaderGoneError: nobody reads what the streams send, so the others are not begun.
        BaseException: any other error than a TapError, or a signal, ends them likewise.
    """
    failures: dict[str, TapError] = {}
    pool = ThreadPoolExecutor(count, thread_name_prefix="stream")
    futures = {pool.submit(stream.sync): stream.name for stream in streams}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, SIGNAL_SECONDS, FIRST_COMPLETED)
            tap.stop_if_asked()  # first: a signal cancels what is being read, which is no failure
            for future in done:
                error = future.exception()
                if isinstance(error, TapError) and not isinstance(error, ReaderGoneError):
                    logger.error("%s", error)
                    failures[futures[future]] = error
                elif error is not None:
                    raise error
    finally:
        pool.shutdown(cancel_futures=True)
    return failures
