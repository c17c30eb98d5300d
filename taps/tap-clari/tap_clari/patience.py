"""How long to wait for what takes its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

GROWTH, LONGEST_PAUSE_SECONDS = 1.5, 60.0


@dataclass(frozen=True)
class Patience:
    """Growing pauses, and how old a job may be to go on with.

    Attributes:
        first_seconds: The first pause.
        most_seconds: All pauses together.
        resume_within: Age of a job above which a new one is started.
        pause: Takes the seconds to wait; may raise to end the run.
    """

    first_seconds: float
    most_seconds: float
    resume_within: dt.timedelta
    pause: Callable[[float], None]

    def pauses(self) -> Iterator[float]:
        """Lengths of pauses, growing, that are `most_seconds` together."""
        left, length = self.most_seconds, self.first_seconds
        while left > 0:
            yield min(length, left)
            left -= length
            length = min(length * GROWTH, LONGEST_PAUSE_SECONDS)
