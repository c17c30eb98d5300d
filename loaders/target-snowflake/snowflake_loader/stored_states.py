"""Singer states in the warehouse, written in the transaction of the rows that they cover.

Rows are only ever added, so that commits side by side do not wait for each other; the state
with the largest sequence holds. It carries its sequence on its way to Meltano, which stores it
once more, a little later: by then a newer one may be there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snowflake_loader.column_types import INTEGER, TEXT
from snowflake_loader.ledger import MOMENT, STATEMENT_CHARACTERS, sql_value
from snowflake_loader.names import STATES, literal, quote
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snowflake_loader.warehouse import Session

# A pseudo-stream among the bookmarks: taps hand on what they do not know.
MARKER = "_loader"
SEQUENCE = "sequence"  # of a state on its way from the loader to Meltano
STARTED_FROM = "started_from"  # of a state that Meltano gives to a tap

STATES_COLUMNS = [
    TableColumn("STATE_ID", TEXT),
    TableColumn("SEQUENCE", INTEGER),
    TableColumn("PART", INTEGER),
    TableColumn("STATE", TEXT),
    TableColumn("RUN_ID", TEXT),
    TableColumn("STORED_AT", MOMENT),
]


@dataclass(frozen=True)
class StoredStates:
    """The states of one state id."""

    schema: str
    state_id: str

    def insert(self, sequence: int, state: Any, run_id: str) -> Iterator[str]:  # noqa: ANN401
        """Return the statements that add a state, any JSON value; a large one is cut in parts."""
        names = ", ".join(quote(column.name) for column in STATES_COLUMNS)
        text = json.dumps(state, ensure_ascii=False)
        for part, start in enumerate(range(0, len(text), STATEMENT_CHARACTERS)):
            piece = text[start : start + STATEMENT_CHARACTERS]
            values = (self.state_id, sequence, part, piece, run_id, datetime.now(UTC))
            yield f"INSERT INTO {self._table} ({names}) SELECT {', '.join(map(sql_value, values))}"

    def latest(self, session: Session) -> tuple[int, Any] | None:
        """Return the newest state and its sequence; None if there is none."""
        mine = f"STATE_ID = {literal(self.state_id)}"
        rows = session.execute(
            f"SELECT SEQUENCE, STATE FROM {self._table} WHERE {mine} AND SEQUENCE = "
            f"(SELECT MAX(SEQUENCE) FROM {self._table} WHERE {mine}) ORDER BY PART",
            f"reading the state {self.state_id}",
        )
        if not rows:
            return None
        return int(rows[0]["SEQUENCE"]), json.loads("".join(row["STATE"] for row in rows))

    def forget(self, session: Session, *, before: int | None = None) -> None:
        """Delete all states, or those before a sequence."""
        older = "" if before is None else f" AND SEQUENCE < {before}"
        session.execute(
            f"DELETE FROM {self._table} WHERE STATE_ID = {literal(self.state_id)}{older}",
            f"removing superseded states of {self.state_id}",
        )

    @property
    def _table(self) -> str:
        return f"{self.schema}.{quote(STATES)}"


def marked(state: Any, **marker: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return a copy of the state with this marker, or without one.

    It stands among the bookmarks, or beside what a tap keeps in a shape of its own; what is no
    object cannot have one.
    """
    if not isinstance(state, dict):
        return state
    bookmarks = state.get("bookmarks")
    if isinstance(bookmarks, dict):
        return state | {"bookmarks": _with(bookmarks, marker)}
    return _with(state, marker)


def with_bookmark(state: Any, stream: str, bookmark: Any) -> Any:  # noqa: ANN401 - JSON values
    """Return a copy of a state with another bookmark of one stream; None stands for none.

    A state of a shape of the tap's own is returned as it is.
    """
    if not isinstance(state, dict) or not isinstance(state.get("bookmarks"), dict):
        return state
    others = {name: value for name, value in state["bookmarks"].items() if name != stream}
    return state | {"bookmarks": others | ({} if bookmark is None else {stream: bookmark})}


def _with(values: dict[str, Any], marker: dict[str, int]) -> dict[str, Any]:
    own = {name: value for name, value in values.items() if name != MARKER}
    return own | ({MARKER: marker} if marker else {})


def marker_of(state: Any, name: str) -> int | None:  # noqa: ANN401 - any JSON value
    """Return what the state's marker says, if it has one."""
    if not isinstance(state, dict):
        return None
    bookmarks = state.get("bookmarks")
    marker = (bookmarks if isinstance(bookmarks, dict) else state).get(MARKER)
    value = marker.get(name) if isinstance(marker, dict) else None
    return value if isinstance(value, int) else None
