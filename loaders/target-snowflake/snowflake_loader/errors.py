"""What can go wrong in a load, by what the caller should do about it."""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError


class LoadError(Exception):
    """A stream cannot go on; the message is a sentence for the person on call.

    Attributes:
        ends_run: Whether no other stream can go on either.
    """

    ends_run = False


class RunError(LoadError):
    """The whole load cannot go on, whichever stream it met first."""

    ends_run = True


class BadRecordError(LoadError):
    """A record does not fit its stream's schema and `on_bad_record` is `fail`."""


class MissingKeyError(BadRecordError, MissingKeyPropertiesError):
    """A record came without a value for its key."""


class WarehouseError(RunError):
    """Snowflake refused a statement or the connection to it was lost."""


class StatementError(WarehouseError):
    """Snowflake refused one statement about one table; the session is as good as before."""

    ends_run = False


class LeaseError(RunError):
    """Another run holds the lease of this run's state."""
