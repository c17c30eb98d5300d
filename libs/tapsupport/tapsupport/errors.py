"""Errors that are meant for the operator."""

from __future__ import annotations


class TapError(Exception):
    """One sentence: what was being done, to what, what was found, what to do.

    `tapsupport.process.ManneredTap` shows it without a traceback and ends with exit code 1.
    Never put a secret or a row's payload in it.
    """


class ReaderGoneError(TapError):
    """Whoever read this tap's output has ended, so that nothing sent would arrive."""
