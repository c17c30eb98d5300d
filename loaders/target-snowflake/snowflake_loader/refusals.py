"""Streams that cannot be loaded, while the others can."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake_loader.state import StateTracker

logger = logging.getLogger(__name__)


class Refusals:
    """The streams that were set aside, and why; used by all threads.

    Nothing more of such a stream is loaded, and no state says more of it than is in its table, so
    that the next run goes on from there.
    """

    def __init__(self, states: StateTracker) -> None:
        self._states = states
        self._lock = threading.Lock()
        self._errors: dict[str, LoadError] = {}

    def __contains__(self, stream: str) -> bool:
        return stream in self._errors

    def add(self, stream: str, error: LoadError, *, is_independent: bool) -> None:
        """Set a stream aside. To be called where no commit of it is under way.

        Args:
            stream: its name.
            error: what is wrong with it.
            is_independent: whether its bookmark may stand still while those of others move on.

        Raises:
            LoadError: the error itself, as the others cannot go on: it is of the whole run, or
                the stream is not independent, or no state has said where it stood before.
        """
        with self._lock:
            if stream in self._errors:
                return
            goes_on = is_independent and not error.ends_run
            if not (goes_on and self._states.hold_back(stream)):
                raise error
            self._errors[stream] = error
        logger.error("%s The other streams go on.", error)

    @property
    def errors(self) -> list[LoadError]:
        """Why each stream was set aside, in the order in which it happened."""
        return list(self._errors.values())


def together(errors: Sequence[LoadError]) -> LoadError:
    """Return one error for several; it tells all of them."""
    if len(errors) == 1:
        return errors[0]
    sentences = " ".join(f"({number}) {error}" for number, error in enumerate(errors, 1))
    return LoadError(f"{len(errors)} things failed, and what else came is loaded. {sentences}")
