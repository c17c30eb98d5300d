"""Where a killed pipeline's state is kept: in the warehouse, or in a file as a weaker promise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snowflake_loader.stored_states import (
    SEQUENCE,
    STARTED_FROM,
    StoredStates,
    marked,
    marker_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from snowflake_loader.warehouse import Session


@dataclass(frozen=True)
class WarehouseStates:
    """What Meltano's backend of the loader does, with a session that is open already."""

    stored: StoredStates
    session: Session

    def read(self) -> dict[str, Any] | None:
        latest = self.stored.latest(self.session)
        if latest is None:
            return None
        state: dict[str, Any] = marked(latest[1], **{STARTED_FROM: latest[0]})
        return state

    def write(self, state: Any) -> None:
        sequence = marker_of(state, SEQUENCE)
        assert sequence is not None
        latest = self.stored.latest(self.session)
        if latest is None or sequence > latest[0]:
            for statement in self.stored.insert(sequence, marked(state), "kill matrix"):
                self.session.execute(statement, "storing a state")


@dataclass(frozen=True)
class FileStates:
    """As with Meltano's state in a file: written some time after the rows are committed."""

    path: Path

    def read(self) -> dict[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def write(self, state: Any) -> None:
        self.path.write_text(json.dumps(state))
