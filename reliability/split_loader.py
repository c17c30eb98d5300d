"""The loader with its promise broken: the state is stored before the rows, by itself.

The kill matrix must find the rows that this loses, or it would find nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from snowflake_loader import commits
from snowflake_loader.target import TargetSnowflake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from snowflake_loader.commits import Part
    from snowflake_loader.ledger import LedgerEntry
    from snowflake_loader.state import WaitingState
    from snowflake_loader.workers import Workplace

_transact = commits._transact


def _split(
    place: Workplace,
    parts: Sequence[Part],
    helpers: dict[str, str | None],
    state: WaitingState | None,
) -> list[LedgerEntry]:
    commits._store(place, state)
    return _transact(place, parts, helpers, None)


if __name__ == "__main__":
    commits._transact = _split
    TargetSnowflake.cli()
