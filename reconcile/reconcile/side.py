"""One of the two tables: what is asked of it, in SQL that both databases understand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconcile.keys import Key, KeyColumns, KeyRange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Eighteen of MD5's hexadecimal digits as a decimal number: a to f become 0 to 5. What turns a hash
# into a number otherwise, PostgreSQL and Snowflake do not have in common.
_HASH = "CAST(TRANSLATE(LEFT(MD5({}), 18), 'abcdef', '012345') AS BIGINT)"
KEYS_AT_ONCE = 1000


@dataclass(frozen=True)
class Total:
    """Of the rows of a range: how many there are, and the sum of their hashes."""

    rows: int = 0
    hashes: int = 0


Hashes = dict[Key, list[int]]  # of each key, the hashes of its rows, in order


@dataclass(frozen=True)
class Side:
    """A table, or the rows of a query.

    Attributes:
        name: What messages call it.
        run: Executes SQL and returns the rows as tuples; the second argument says what for, as a
            gerund. May be called from several threads.
        source: SQL for the FROM clause.
        conditions: SQL conditions that all hold for the rows that count.
        key: The key's columns.
        row: SQL of a row's text.
    """

    name: str
    run: Callable[[str, str], list[tuple[Any, ...]]]
    source: str
    conditions: tuple[str, ...]
    key: KeyColumns
    row: str

    def bounds(self, within: KeyRange, rows: int) -> list[Key]:
        """The keys of a range that stand so many rows apart, in order."""
        names = ", ".join(f"k{i}" for i in range(len(self.key.order)))
        numbered = (
            f"SELECT {self._texts()}, "
            f"ROW_NUMBER() OVER (ORDER BY {', '.join(self.key.order)}) AS place "
            f"FROM {self.source}{self._where(within)}"
        )
        found = self.run(
            f"SELECT {names} FROM ({numbered}) AS numbered WHERE MOD(place, {rows}) = 0 "
            "ORDER BY place",
            "finding ranges",
        )
        return list(dict.fromkeys(tuple(map(str, row)) for row in found))

    def totals(self, within: KeyRange, bounds: Sequence[Key]) -> list[Total]:
        """Count and hash the ranges that bounds cut a range into, in one pass."""
        found = self.run(
            f"SELECT {self._bucket(bounds)} AS bucket, COUNT(*) AS n, "
            f"CAST(SUM({_HASH.format(self.row)}) AS VARCHAR) AS h "
            f"FROM {self.source}{self._where(within)} GROUP BY 1",
            "hashing ranges",
        )
        totals = {int(bucket): Total(int(rows), int(hashes)) for bucket, rows, hashes in found}
        return [totals.get(bucket, Total()) for bucket in range(len(bounds) + 1)]

    def hashes(self, ranges: Sequence[KeyRange]) -> Hashes:
        """The hashes of the rows in some ranges."""
        pieces = [" AND ".join(self.key.within(piece)) or "1 = 1" for piece in ranges]
        return self._hashes(self._where(KeyRange(), f"(({') OR ('.join(pieces)}))"))

    def hashes_of(self, keys: Sequence[Key]) -> Hashes:
        """The hashes of the rows with these keys."""
        found: Hashes = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = self.key.among(keys[start : start + KEYS_AT_ONCE])
            found |= self._hashes(self._where(KeyRange(), some))
        return found

    def largest(self) -> Key | None:
        """The largest key."""
        order = ", ".join(f"{name} DESC" for name in self.key.order)
        found = self.run(
            f"SELECT {self._texts()} FROM {self.source}{self._where(KeyRange())} "
            f"ORDER BY {order} LIMIT 1",
            "finding the largest key",
        )
        return tuple(map(str, found[0])) if found else None

    def _hashes(self, where: str) -> Hashes:
        hashes: defaultdict[Key, list[int]] = defaultdict(list)
        columns = f"{self._texts()}, {_HASH.format(self.row)} AS h"
        rows = self.run(f"SELECT {columns} FROM {self.source}{where}", "hashing rows")
        for *key, found in rows:
            hashes[tuple(map(str, key))].append(int(found))
        return {key: sorted(found) for key, found in hashes.items()}

    def _texts(self) -> str:
        return ", ".join(f"{text} AS k{i}" for i, text in enumerate(self.key.texts))

    def _where(self, within: KeyRange, *more: str) -> str:
        conditions = [*self.conditions, *self.key.within(within), *more]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _bucket(self, bounds: Sequence[Key], first: int = 0) -> str:
        """SQL for the number of the range that a row's key lies in, by halving."""
        if not bounds:
            return str(first)
        middle = len(bounds) // 2
        below = self._bucket(bounds[:middle], first)
        above = self._bucket(bounds[middle + 1 :], first + middle + 1)
        return f"CASE WHEN {self.key.up_to(bounds[middle])} THEN {below} ELSE {above} END"
