"""Parts: what a run reads of a stream in one query each, and the state that each part reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tap_postgres import sql
from tap_postgres.ranges import KeyColumn, KeyRange, Values, as_text, is_finite, ranges
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_postgres.client import Database

State = dict[str, Any]
Span = tuple[list[str] | None, list[str] | None]  # keys above the first one up to the second
_KINDS = {"version": int, "range": dict, "columns": dict, "id": list, "end": str}
_RANGE_KINDS = {"key": list, "after": list, "missing": list, "from": str, "to": str}
# The share of the work that may be due before the first row comes out in the key's order.
_CHEAP_START = 0.05
SMALLER = 4  # times, after each read that a replica cancels
_FEWEST_ROWS = 100  # of a range that is cut by an estimate, which may be far too low


def checked_state(state: State, stream: str) -> State:
    """Return a copy of a stream's state.

    Raises:
        TapError: it is not one that this tap has written.
    """
    _check_kinds(state, _KINDS, stream)
    _check_kinds(state.get("range", {}), _RANGE_KINDS, stream)
    return dict(state)


def _check_kinds(state: State, kinds: Mapping[str, type[object]], stream: str) -> None:
    for name, kind in kinds.items():
        if not isinstance(state.get(name, kind()), kind):
            raise TapError(
                f"Reading the state of {stream}: {name} is {state[name]!r}, which this tap has "
                "not written. Correct it, or remove the stream's bookmark to start anew."
            )


@dataclass(frozen=True)
class Part:
    """Rows to read in one query.

    Attributes:
        source: SQL for the FROM clause.
        conditions: SQL conditions that all hold.
        progress: The stream's state once these rows and all of the parts before are sent; None
            leaves it as it was.
        limit: The most rows to read.
        span: The keys of a range that may be sent before those in front of it, because `progress`
            has a `range` that can name what is missing; None where the order must be kept.
    """

    source: str
    conditions: Sequence[str]
    progress: State | None
    limit: int | None = None
    span: Span | None = None


@dataclass(frozen=True)
class Reader:
    """Looks things up in the snapshot that the parts are read in.

    Attributes:
        database: Its transaction is the snapshot.
        label: How messages call the table.
        rows: The most rows of a range.
        end: Everything committed before this moment is in the snapshot.
        conflicts: How often a replica has cancelled what this load read.
    """

    database: Database
    label: str
    rows: int
    end: datetime
    conflicts: int = 0

    def ranges(
        self,
        source: str,
        key: tuple[KeyColumn, ...],
        after: Values | None = None,
        until: Values | None = None,
        *,
        inclusive: bool = False,
    ) -> Iterator[KeyRange]:
        """Cut what lies above `after`, up to `until`, into ranges of `rows` rows, lazily."""
        whole = KeyRange(key, after, until, inclusive=inclusive)
        doing = f"Finding ranges of {self.label}"
        query = partial(self.database.rows, doing=doing)
        return ranges(whole, source, self.rows, query, doing)

    def smaller(
        self, source: str, key: tuple[KeyColumn, ...], after: Values | None
    ) -> Iterator[KeyRange]:
        """Cut what is else read in one part, once a replica has cancelled that.

        How much it is only the server's estimate says. In any order but the key's own, every range
        costs a look at all of the source's rows, which is less than sending them.
        """
        if not key or not self.conflicts:
            yield KeyRange(key, after)
            return
        plan = self.database.plan(f"SELECT * FROM {source}", f"Planning to read {self.label}")
        rows = max(_FEWEST_ROWS, plan["Plan Rows"] // SMALLER**self.conflicts)
        yield from replace(self, rows=min(self.rows, rows)).ranges(source, key, after)

    def largest(self, source: str, within: KeyRange, skip: int = 0) -> Values | None:
        """The largest key in a range, or the one so many places below it; None if there is none.

        NULL, NaN and infinity are no keys to go on from.
        """
        names = [sql.identifier(column.name) for column in within.key]
        values = ", ".join(f"{as_text(column)} AS v{i}" for i, column in enumerate(within.key))
        conditions = [*map(is_finite, within.key), *within.conditions()]
        order = ", ".join(f"{name} DESC" for name in names)
        rows = self.database.rows(
            f"SELECT {values} FROM (SELECT {', '.join(names)} FROM {source}"
            f" WHERE {' AND '.join(conditions)} ORDER BY {order} OFFSET {skip} LIMIT 1) AS found",
            f"Finding the largest {', '.join(names)} of {self.label}",
        )
        return tuple(rows[0].values()) if rows else None

    def ordered(self, source: str, key: tuple[KeyColumn, ...]) -> tuple[KeyColumn, ...]:
        """The key when ranges over it are cheap, else an empty one.

        They are where the server can begin in the key's order at once, as with an index on it.
        Anything else it would sort or compute as a whole, once for each range.
        """
        if not key:
            return ()
        names = ", ".join(sql.identifier(column.name) for column in key)
        first = f"SELECT * FROM {source} ORDER BY {names} LIMIT 1"
        plan = self.database.plan(first, f"Planning to read {self.label}", sort=False)
        (all_rows,) = plan["Plans"]
        return key if all_rows["Startup Cost"] <= _CHEAP_START * all_rows["Total Cost"] else ()
