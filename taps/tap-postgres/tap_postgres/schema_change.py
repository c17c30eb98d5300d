"""What a change of a stream's columns since its last load asks for.

The warehouse follows a widened number and a dropped column by itself. A column that is new, renamed
or of another type has values in rows that no interval brings: these need a full sync.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"number\((\d+),(\d+)\)")


@dataclass(frozen=True)
class SchemaChange:
    """The difference between the columns of two loads, by name."""

    dropped: list[str]
    added: list[str]
    retyped: list[str]

    @property
    def needs_full_sync(self) -> bool:
        return bool(self.added or self.retyped)


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> SchemaChange:
    """Compare columns, given as names and types (`Table.fingerprint`)."""
    return SchemaChange(
        dropped=[name for name in old if name not in new],
        added=[name for name in new if name not in old],
        retyped=[name for name in new if name in old and not _holds(new[name], old[name])],
    )


def _holds(new: str, old: str) -> bool:
    """Whether every value of the old type is the same value in the new one."""
    if new == old:
        return True
    wider, narrower = _NUMBER.fullmatch(new), _NUMBER.fullmatch(old)
    if not (wider and narrower):
        return False
    (precision, scale), (old_precision, old_scale) = (
        [int(digits) for digits in match.groups()] for match in (wider, narrower)
    )
    return scale >= old_scale and precision - scale >= old_precision - old_scale
