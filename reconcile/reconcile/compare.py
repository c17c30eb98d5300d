"""Finds the keys whose rows differ.

Both tables are cut into the same ranges of their key. Each side counts and hashes many ranges in
one pass; ranges that differ are cut again, until they are small enough to fetch the keys and the
rows' hashes. What differs then is looked at once more, as both tables may have changed meanwhile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from reconcile.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconcile.keys import Key
    from reconcile.side import Hashes, Side, Total
    from reconcile.tables import Pair

_FETCHED_AT_ONCE = 10  # ranges whose keys and hashes one query fetches
_ALL_AT_ONCE = 1024  # ranges, where each query has to go through the whole table


@dataclass(frozen=True)
class Sizes:
    """How much is done at once.

    Attributes:
        range_rows: Rows of a range.
        ranges_at_once: Ranges that one query counts and hashes.
        fetched_rows: The most rows of a range whose keys and hashes are fetched.
        parallel: Queries at once, on each side.
        most_keys: Differing keys after which no more are looked for.
    """

    range_rows: int = 4096
    ranges_at_once: int = 256
    fetched_rows: int = 16_384
    parallel: int = 2
    most_keys: int = 100_000


@dataclass
class Difference:
    """What a comparison found; keys in the order of the ranges.

    Attributes:
        source_rows: Rows in the source.
        copy_rows: Rows in Snowflake, without those marked as deleted.
        missing: Keys that Snowflake lacks.
        extra: Keys that the source lacks.
        changed: Keys whose rows differ.
        newer: How many keys differ since they changed after the last load.
        is_whole: Whether all ranges were looked at.
    """

    source_rows: int = 0
    copy_rows: int = 0
    missing: list[Key] = field(default_factory=list)
    extra: list[Key] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    newer: int = 0
    is_whole: bool = True

    @property
    def keys(self) -> int:
        """How many keys differ."""
        return len(self.missing) + len(self.extra) + len(self.changed)

    @property
    def share(self) -> float:
        """How many that is of all rows, 0 to 1."""
        return self.keys / max(self.source_rows, self.copy_rows, 1)


class Comparison:
    """Compares a table with its copy, once."""

    def __init__(self, pair: Pair, sizes: Sizes) -> None:
        self._pair = pair
        self._source, self._copy = pair.source, pair.copy
        self._sizes = sizes if pair.is_indexed else replace(sizes, ranges_at_once=_ALL_AT_ONCE)
        self._difference = Difference()
        self._source_threads = ThreadPoolExecutor(sizes.parallel)
        self._copy_threads = ThreadPoolExecutor(sizes.parallel)

    def run(self) -> Difference:
        """Compare everything."""
        try:
            self._compare(KeyRange(), self._source, is_first=True)
        finally:
            for threads in (self._source_threads, self._copy_threads):
                threads.shutdown(cancel_futures=True)
        found = self._difference
        return self.again([*found.missing, *found.extra, *found.changed])

    def again(self, keys: Sequence[Key]) -> Difference:
        """Compare some keys, and leave out what the next load brings anyway."""
        found = self._difference
        found.missing, found.extra, found.changed = [], [], []
        if not keys:
            return found
        self._note(self._source.hashes_of(keys), self._copy.hashes_of(keys))
        newer = self._pair.newer([*found.missing, *found.changed])
        found.newer = len(newer)
        place = {key: number for number, key in enumerate(keys)}
        found.missing = sorted(set(found.missing) - newer, key=place.__getitem__)
        found.changed = sorted(set(found.changed) - newer, key=place.__getitem__)
        found.extra = sorted(found.extra, key=place.__getitem__)
        if self._pair.keeps_vanished:
            found.extra = []
        return found

    def _compare(self, within: KeyRange, cut_by: Side, *, is_first: bool = False) -> None:
        bounds = cut_by.bounds(within, self._sizes.range_rows)
        small: list[KeyRange] = []
        for piece, source, copy in self._totals(within, bounds):
            if is_first:
                self._difference.source_rows += source.rows
                self._difference.copy_rows += copy.rows
            if source == copy:
                continue
            if max(source.rows, copy.rows) <= self._sizes.fetched_rows or piece == within:
                small.append(piece)
            else:
                self._compare(piece, self._source if source.rows > copy.rows else self._copy)
        self._fetch(small)

    def _totals(
        self, within: KeyRange, bounds: list[Key]
    ) -> Iterator[tuple[KeyRange, Total, Total]]:
        """The ranges that bounds make, with what each side has in them."""
        edges: list[Key | None] = [within.after, *bounds, within.until]
        size = self._sizes.ranges_at_once
        asked = []
        for start in range(0, len(edges) - 1, size):
            group = edges[start : start + size + 1]
            whole, inner = KeyRange(group[0], group[-1]), [key for key in group[1:-1] if key]
            source = self._source_threads.submit(self._source.totals, whole, inner)
            asked.append(
                (group, source, self._copy_threads.submit(self._copy.totals, whole, inner))
            )
        for group, source, copy in asked:
            pieces = [KeyRange(*ends) for ends in pairwise(group)]
            yield from zip(pieces, source.result(), copy.result(), strict=True)

    def _fetch(self, pieces: Sequence[KeyRange]) -> None:
        """Fetch keys and hashes of ranges, a few at once, until too many keys differ."""
        for start in range(0, len(pieces), _FETCHED_AT_ONCE):
            if self._difference.keys >= self._sizes.most_keys:
                self._difference.is_whole = False
                return
            some = pieces[start : start + _FETCHED_AT_ONCE]
            source = self._source_threads.submit(self._source.hashes, some)
            copy = self._copy_threads.submit(self._copy.hashes, some)
            self._note(source.result(), copy.result())

    def _note(self, source: Hashes, copy: Hashes) -> None:
        found = self._difference
        for key in chain(source, (key for key in copy if key not in source)):
            if key not in copy:
                found.missing.append(key)
            elif key not in source:
                found.extra.append(key)
            elif source[key] != copy[key]:
                found.changed.append(key)
