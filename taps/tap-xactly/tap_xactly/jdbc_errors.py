"""Which Java exceptions may not come again, so that a statement is worth another try."""

from __future__ import annotations

# Where SQLSTATE says so, by its first letters: the login, the statement or the rights are wrong ...
REFUSED_STATES = ("08004", "28", "42")
# ... or a connection broke, a lock or a resource was not to be had, a statement was cancelled.
PASSING_STATES = ("08", "40", "53", "57", "HYT")
# Else in words, of a message or an exception's name: a network that failed, a session that ended.
NETWORK = ("timed out", "timeout", "connection refused", "connection reset", "unreachable")
NO_DRIVER = "no suitable driver"  # a wrong URL, which Java calls a broken connection (08001)
PASSING = (*NETWORK, "closed", "connection", "socket", "broken pipe", "ssl")


def may_pass(error: BaseException, said: str, words: tuple[str, ...]) -> bool:
    """Judge an exception by its SQLSTATE, or by words where the driver gives none of those known.

    Args:
        error: What JPype raised; it has the methods of the Java exception.
        said: Its message.
        words: `PASSING`, or `NETWORK` where a refusal must not be taken for a broken connection.
    """
    state = _sql_state(error)
    text = f"{type(error).__name__} {said}".lower()
    if state.startswith(REFUSED_STATES) or NO_DRIVER in text:
        return False
    return state.startswith(PASSING_STATES) or any(word in text for word in words)


def _sql_state(error: BaseException) -> str:
    """The standard's code for what went wrong; empty where the driver gives none."""
    getter = getattr(error, "getSQLState", None)
    return str(getter() or "") if getter else ""
