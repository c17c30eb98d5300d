"""Errors that are meant for the operator."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class TapError(Exception):
    """One sentence: what was being done, to what, what was found, what to do.

    `tapsupport.process.ManneredTap` shows it without a traceback and ends with exit code 1.
    Never put a secret or a row's payload in it.
    """


class ReaderGoneError(TapError):
    """Whoever read this tap's output has ended, so that nothing sent would arrive."""


def failure_summary(failures: Mapping[str, TapError], streams: int) -> str:
    """Say which of so many streams failed, those with the same reason together."""
    if streams == len(failures) == 1:
        return str(next(iter(failures.values())))
    by_reason = defaultdict(list)
    for name, error in failures.items():
        by_reason[str(error)].append(name)
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    others = "" if streams <= len(failures) else " The others were read to their end."
    return f"{len(failures)} of {streams} streams failed.{others} {' '.join(reasons)}"
