"""What keeps a comparison or a repair from being done."""

from __future__ import annotations


class ReconcileError(Exception):
    """One sentence: what was being done, to what, what was found, what to do.

    Never put a secret or a row's payload in it.
    """
