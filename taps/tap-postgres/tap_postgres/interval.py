"""Until when a source can be read, and the intervals that lead there (postgres_pipeline.md, 2)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.client import Database

RESOLUTION = dt.timedelta(microseconds=1)  # of PostgreSQL's timestamps

# A replica that has replayed all it received, and still receives, is not behind: nothing happened.
# Only pg_read_all_stats may see whether the receiver is streaming; for others `status` is NULL, and
# they see that there is one, which ends with its connection. A connection that has died silently
# thus looks alive to them until wal_receiver_timeout (a minute). That may hide a lag but loses no
# row, since no interval ends later than what was replayed. Without a receiver (connection lost, or
# fed from an archive) nobody knows what is still to come: there the lag is the age of the last
# transaction.
_CLOCK = """
SELECT now() AS now, pg_is_in_recovery() AS is_replica,
  CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END AS replayed,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
    AND EXISTS (
      SELECT FROM pg_stat_wal_receiver WHERE coalesce(status, 'streaming') = 'streaming'
    ) END AS caught_up
"""


def readable_until(database: Database, max_replica_lag_seconds: float) -> dt.datetime:
    """Return the moment before which everything committed can be read, by the server's clock.

    On a replica it is that of the last transaction replayed: what came later is still to arrive.
    Ask before the snapshot is taken in which rows are read.

    Raises:
        TapError: the replica lags by more than the limit (0 is none), or cannot say by how much.
    """
    (row,) = database.rows(_CLOCK, "Asking the server for its time")
    database.end_snapshot()
    now: dt.datetime = row["now"]
    if not row["is_replica"]:
        return now
    label = database.server.label
    replayed: dt.datetime | None = row["replayed"]
    if replayed is None:
        raise TapError(
            f"{label} is a replica that has replayed no transaction since it was started, so it "
            "cannot say until when its rows are complete. Run again when it has."
        )
    lag_seconds = 0.0 if row["caught_up"] else (now - replayed).total_seconds()
    if 0 < max_replica_lag_seconds < lag_seconds:
        raise TapError(
            f"{label} is a replica and lags {lag_seconds:.0f} seconds behind, more than "
            f"max_replica_lag_seconds ({max_replica_lag_seconds:.0f}). "
            "Run again when it has caught up, or raise the limit."
        )
    return replayed


@dataclass(frozen=True)
class Interval:
    """Two moments, aware, UTC; a query may take in either end or leave it out."""

    begin: dt.datetime
    end: dt.datetime

    def pieces(
        self, length: dt.timedelta, first: Interval | None = None, *, overlapping: bool = True
    ) -> Iterator[Interval]:
        """Cut it into pieces of a length, each beginning just before the last one ended.

        If they must not overlap each begins just after: right for queries that take in both ends.
        The first one may be given; it begins where the whole begins.
        """
        begin = self.begin
        until = first.end if first else begin + length
        while until < self.end:
            yield Interval(begin, until)
            begin = until + (-RESOLUTION if overlapping else RESOLUTION)
            until = begin + length
        yield Interval(begin, self.end)


def parse_moment(text: str, name: str) -> dt.datetime:
    """Read a setting or bookmark as an aware moment in UTC; without a zone it is in UTC.

    Raises:
        TapError: it is not ISO 8601; `name` is what the message calls it.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise TapError(
            f"{name} is {text}, not a moment. Use ISO 8601, such as 2030-01-31T00:00:00+00:00."
        ) from error
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
