"""What is tried again, and how long to wait before."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

import requests
import tenacity
import urllib3

from tapsupport.errors import TapError
from tapsupport.http import RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 6
LOOK_SECONDS = 1.0  # how long a wait goes on until it is seen whether the run is to end
# How a connection fails while a body is read; the SDK has names of its own for what comes before.
BROKEN = (
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    ConnectionError,
    TimeoutError,
)


class ChangedError(RetriableError):
    """The object was written anew after it had been listed."""


class GoneError(TapError):
    """The object is not there any more."""


def persist(attempt: Callable[[], T], before: Callable[[], None]) -> T:
    """Call, and again while another try may help; the waits grow, or are what was asked for.

    Args:
        attempt: One try.
        before: Called before every try, and while waiting for it; may raise to end the run.

    Raises:
        TapError: it failed for good, or still fails after all tries.
    """

    def guarded() -> T:
        before()
        return attempt()

    def wait(seconds: float) -> None:
        while seconds > 0:
            before()
            time.sleep(min(seconds, LOOK_SECONDS))
            seconds -= LOOK_SECONDS

    return tenacity.Retrying(
        sleep=wait,
        retry=tenacity.retry_if_exception_type(RetriableError),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=_wait,
        before_sleep=_log,
        reraise=True,
    )(guarded)


def broken(doing: str, error: Exception) -> RetriableError:
    """What to say of a connection that failed."""
    return RetriableError(
        f"{doing} got no whole answer ({type(error).__name__}). Run again later; if it lasts, see "
        "whether region is right and Oracle's Object Storage can be reached from here."
    )


_grow = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait_seconds if isinstance(error, RetriableError) else None
    return _grow(state) if asked is None else asked


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    logger.warning("%s Trying again in %.0f s.", error, wait)
