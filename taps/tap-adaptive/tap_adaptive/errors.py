"""What can go wrong with one call, by what the caller should do."""

from __future__ import annotations

from tapsupport.errors import TapError


class LoginError(TapError):
    """The login was refused; no further call, since repeated ones can lock the user."""


class AnswerError(TapError):
    """One call was refused, or its answer cannot be used; other calls may go well."""


class RefusedError(AnswerError):
    """The vendor understood the call and refused it."""


class UnreadableAnswerError(AnswerError):
    """The answer is not whole; another try may bring a whole one."""
