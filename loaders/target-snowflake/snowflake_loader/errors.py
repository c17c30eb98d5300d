"""What can go wrong in a load, by what the caller should do about it."""

from __future__ import annotations

from singer_sdk.exceptions import MissingKeyPropertiesError


class LoadError(Exception):
    """The load cannot go on; the message is a sentence for the person on call."""


class BadRecordError(LoadError):
    """A record does not fit its stream's schema and `on_bad_record` is `fail`."""


class MissingKeyError(BadRecordError, MissingKeyPropertiesError):
    """A record came without a value for its key."""


class WarehouseError(LoadError):
    """Snowflake refused a statement or the connection to it was lost."""


class LeaseError(LoadError):
    """Another run holds the lease of this run's state."""
