"""Meltano's state backend `target-snowflake://<schema>`: states kept where the rows are.

Meltano writes a state some time after the loader has committed its rows; when it dies in
between, its state is too old. The loader therefore writes each state in the transaction of its
rows, into `_STATES`; what Meltano writes there later is the same state, known by the sequence
that it carries, and an old one changes nothing. A state without a sequence was set by hand.

The log-in is the loader's own, as the project configures the plugin `target-snowflake`.
"""

from __future__ import annotations

import fnmatch
import json
import time
from contextlib import contextmanager
from functools import cached_property
from os import environ
from typing import TYPE_CHECKING, Any

import click
from meltano.core.error import MeltanoError
from meltano.core.plugin.base import PluginType
from meltano.core.plugin.settings_service import PluginSettingsService
from meltano.core.project import Project
from meltano.core.state_store.base import MeltanoState, StateStoreManager
from typing_extensions import override

from snowflake_loader.errors import LoadError
from snowflake_loader.faults import Point, reach
from snowflake_loader.leases import LEASES_COLUMNS, STATES_A_RUN
from snowflake_loader.meltano_run import SCHEME, SUFFIX_VARIABLE, schema_of
from snowflake_loader.names import LEASES, STATES, literal, quote
from snowflake_loader.stored_states import (
    SEQUENCE,
    STARTED_FROM,
    STATES_COLUMNS,
    StoredStates,
    marked,
    marker_of,
)
from snowflake_loader.tables import SchemaTables
from snowflake_loader.target import TargetSnowflake
from snowflake_loader.warehouse import Session, Transaction, connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SINGER_STATE = "singer_state"  # Meltano's key around what the tap and the loader call a state


class SnowflakeStateManager(StateStoreManager):
    """States in the loader's database.

    Raises:
        MeltanoError: the URI names no schema, the loader is not configured, or Snowflake refused
            a statement; the text says which.
    """

    label = "Snowflake"

    def __init__(self, uri: str, **_: object) -> None:
        super().__init__()
        try:
            self._schema = str(schema_of(uri)).upper()
        except LoadError as error:
            raise MeltanoError(str(error)) from error

    @override
    def get(self, state_id: str) -> MeltanoState | None:
        _refuse_hidden_suffix(state_id)
        with _sentences():
            latest = self._states(state_id).latest(self._session)
        if latest is None and not _is_run():
            return None
        # A first run, too, must say what it started from: it may have been started twice.
        sequence, state = latest or (0, {"bookmarks": {}})
        completed = {SINGER_STATE: marked(state, **{STARTED_FROM: sequence})}
        return MeltanoState(state_id, partial_state={}, completed_state=completed)

    @override
    def set(self, state: MeltanoState) -> None:
        _refuse_hidden_suffix(state.state_id)
        value = json.loads(state.json_merged()).get(SINGER_STATE)
        sequence = marker_of(value, SEQUENCE)
        with _sentences(), Transaction(self._session):
            if sequence is None:
                sequence = self._sequence_by_hand(state.state_id)
            self._insert_if_newer(state.state_id, sequence, value)
        reach(Point.STATE_STORED)

    @override
    def delete(self, state_id: str) -> None:
        with _sentences():
            self._refuse_while_loading(state_id)
            self._states(state_id).forget(self._session)

    @override
    def get_state_ids(self, pattern: str | None = None) -> Iterable[str]:
        with _sentences():
            rows = self._session.execute(
                f"SELECT DISTINCT STATE_ID FROM {self._session.schema}.{quote(STATES)} ORDER BY 1",
                "listing the states",
            )
        return fnmatch.filter([row["STATE_ID"] for row in rows], pattern or "*")

    @override
    @contextmanager
    def acquire_lock(self, state_id: str, *, retry_seconds: float) -> Iterator[None]:
        """Nothing is locked: the loader's lease keeps two runs apart."""
        yield

    @override
    def close(self) -> None:
        if "_session" in self.__dict__:
            self._session.close()
            del self._session

    # Parts

    def _states(self, state_id: str) -> StoredStates:
        return StoredStates(self._session.schema, state_id)

    def _insert_if_newer(self, state_id: str, sequence: int, value: Any) -> None:  # noqa: ANN401
        states = self._states(state_id)
        latest = states.latest(self._session)
        if latest is None or sequence > latest[0]:
            for statement in states.insert(sequence, marked(value), "meltano"):
                self._session.execute(statement, f"storing the state {state_id}")

    def _sequence_by_hand(self, state_id: str) -> int:
        """A sequence above all that any run has used so far."""
        self._refuse_while_loading(state_id)
        latest = self._states(state_id).latest(self._session)
        now = time.time_ns() // 1_000_000
        return max(now, latest[0] // STATES_A_RUN + 1 if latest else 0) * STATES_A_RUN

    def _refuse_while_loading(self, state_id: str) -> None:
        holders = self._session.execute(
            f"SELECT OWNER FROM {self._session.schema}.{quote(LEASES)} WHERE SEAT = 0 "
            f"AND STATE_ID = {literal(state_id)} AND EXPIRES_AT > CURRENT_TIMESTAMP()",
            f"looking at the lease of {state_id}",
        )
        if holders:
            raise LoadError(
                f"The state {state_id} cannot be changed while {holders[0]['OWNER']} is loading "
                "it; wait for the end of that run."
            )

    @cached_property
    def _session(self) -> Session:
        """A session in the schema, with the tables made."""
        config = _loaders_config() | {"schema": self._schema}
        session = connect(config, "meltano")
        tables = SchemaTables(session, config["database"].upper(), self._schema)
        tables.open()
        tables.ensure(STATES, STATES_COLUMNS, STATES)
        tables.ensure(LEASES, LEASES_COLUMNS, LEASES)
        return session


def _loaders_config() -> dict[str, Any]:
    """The settings of the plugin `target-snowflake` in the active environment."""
    project = Project.find()
    plugin = project.plugins.find_plugin(SCHEME, plugin_type=PluginType.LOADERS)
    return TargetSnowflake.with_defaults(
        PluginSettingsService(project, plugin).as_dict(extras=False)
    )


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors of the loader as Meltano prints them: without a traceback."""
    try:
        yield
    except LoadError as error:
        raise MeltanoError(str(error)) from error


def _is_run() -> bool:
    """Whether Meltano is at `meltano run`, as opposed to `meltano state`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"


def _refuse_hidden_suffix(state_id: str) -> None:
    """The loader must name the same state, and cannot see an option of `meltano run`."""
    suffix = "".join(state_id.split(":", 2)[2:])
    if _is_run() and suffix != environ.get(SUFFIX_VARIABLE, ""):
        raise MeltanoError(
            f"The state {state_id} has a suffix that the loader cannot see, so that it would keep "
            f"its bookmarks in another state. Give the suffix in {SUFFIX_VARIABLE} instead of "
            "--state-id-suffix or state_id_suffix."
        )
