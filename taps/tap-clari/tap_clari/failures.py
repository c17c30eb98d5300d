"""What went wrong with some of several, while the others go on."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tapsupport.errors import ReaderGoneError, TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)


class Failures:
    """Collects the errors of single `things`, of which there are `count`."""

    def __init__(self, things: str, count: int) -> None:
        self._things = things
        self._count = count
        self._errors: dict[str, TapError] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._errors

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Note what the body raises, if an operator is to read it."""
        try:
            yield
        except ReaderGoneError:
            raise
        except TapError as error:
            logger.error("%s", error)  # noqa: TRY400 - a sentence, not a fault of the program
            self._errors[name] = error

    def raise_any(self) -> None:
        """End the run if something was noted.

        Raises:
            TapError: what was noted, in one text.
        """
        if not self._errors:
            return
        if self._count == 1:
            raise next(iter(self._errors.values()))
        reasons = " ".join(dict.fromkeys(map(str, self._errors.values())))
        names = ", ".join(self._errors)
        raise TapError(
            f"{len(self._errors)} of {self._count} {self._things} failed ({names}); those that did "
            f"not were sent. {reasons}"
        )
