"""One writer a state: a run holds a lease in the warehouse while it works.

Kubernetes may start a job twice, and Meltano's locks do not stop two runs at once
("kubernetes.md", section 4). `_LEASES` has a row for the lease itself, which is renewed, and
one for each session that commits, its seat. A transaction updates its seat last of all; a
run that takes the lease over updates the seats and removes them, and so either waits for that
transaction or makes it fail: whoever lost the lease, be it asleep in mid-commit, commits nothing
more.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from snowflake_loader.column_types import INTEGER, TEXT
from snowflake_loader.errors import LeaseError, WarehouseError
from snowflake_loader.ledger import MOMENT
from snowflake_loader.names import LEASES, STATES, literal, quote
from snowflake_loader.stored_states import STATES_COLUMNS, StoredStates
from snowflake_loader.tables import SchemaTables, TableColumn
from snowflake_loader.warehouse import Transaction, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.meltano_run import RunState
    from snowflake_loader.warehouse import Session

logger = logging.getLogger(__name__)

LEASES_COLUMNS = [
    TableColumn("STATE_ID", TEXT),
    TableColumn("SEAT", INTEGER),
    TableColumn("OWNER", TEXT),
    TableColumn("FENCING", INTEGER),
    TableColumn("EXPIRES_AT", MOMENT),
]
STATES_A_RUN = 1_000_000  # a run's states are numbered up from its fencing number times this
RENEWALS = 3  # in the time that a lease lasts
RETRY_SECONDS = 1.0
# What a transaction does to its seat, and a run that takes the lease over to all of them. Where a
# database keeps versions of rows, a deletion may pass by an update that is not committed yet, and
# so may an update that changes nothing; two that change one value stand in each other's way.
TOUCH = "EXPIRES_AT = CURRENT_TIMESTAMP()"


class Lease:
    """The lease of one run, taken and renewed in a thread with a session of its own.

    Attributes:
        last_sequence: Sequence of the newest state that an earlier run stored; 0 for none.
        states: The stored states of this run; None if the warehouse does not keep them.
    """

    def __init__(self, config: Mapping[str, Any], run: RunState, owner: str) -> None:
        self._config = config
        self._state_id = run.state_id
        self._schema = run.schema
        self._owner = owner
        self._seconds = float(config["lease_seconds"])
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._waits_no_more = threading.Event()
        self._error: BaseException | None = None
        self._fencing = 0
        self._open_session: Session | None = None
        self.last_sequence = 0
        self.states: StoredStates | None = None
        self._thread = threading.Thread(target=self._hold, name="lease", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the lease is held.

        Raises:
            LeaseError: another run holds it, and did so for `lease_wait_seconds`.
            LoadError: whatever else went wrong on the way.
        """
        self._ready.wait()
        self._check()

    def sequence(self, number: int) -> int:
        """Return the sequence of this run's state with that number."""
        return self._fencing * STATES_A_RUN + number

    def fence(self, session: Session, seat: int) -> None:
        """Make sure, as the last statement of a transaction, that the lease is still held.

        Raises:
            LeaseError: another run has taken it.
        """
        self._check()
        rows = session.execute(
            f"UPDATE {self._table} SET {TOUCH} WHERE {self._mine} AND SEAT = {seat + 1} "
            f"AND FENCING = {self._fencing}",
            f"making sure that this run holds the lease of {self._state_id}",
        )
        if int(next(iter(rows[0].values()))) != 1:
            self._error = self._lost()
            self._check()

    def stop_waiting(self) -> None:
        """Leave now if another run holds the lease; a lease that is held stays."""
        self._waits_no_more.set()

    def release(self) -> None:
        """Give the lease back and end the thread."""
        self.stop_waiting()
        self._stop.set()
        self._thread.join()

    # In the thread

    def _hold(self) -> None:
        try:
            self._acquire()
            self._ready.set()
            while not self._stop.wait(self._seconds / RENEWALS):
                self._renew()
            self._give_back()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits or commits
            self._error = self._error or error
        finally:
            self._ready.set()
            self._disconnect()

    @property
    def _session(self) -> Session:
        """The thread's session, a new one after it was lost."""
        if self._open_session is None:
            schema = self._schema or self._config["schema"]
            self._open_session = connect({**self._config, "schema": schema}, self._owner)
        return self._open_session

    def _disconnect(self) -> None:
        session, self._open_session = self._open_session, None
        if session:
            session.close()

    def _acquire(self) -> None:
        self._make_tables()
        deadline = time.monotonic() + float(self._config["lease_wait_seconds"])
        while (obstacle := self._try()) is not None:
            if time.monotonic() >= deadline:
                raise obstacle
            # Not evenly, so that two runs do not keep in step.
            if self._waits_no_more.wait(RETRY_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                raise obstacle
        if self.states and (latest := self.states.latest(self._session)):
            self.last_sequence = latest[0]
            self.states.forget(self._session, before=self.last_sequence)

    def _make_tables(self) -> None:
        database = self._config["database"].upper()
        schema = self._schema or self._config["schema"].upper()
        tables = SchemaTables(self._session, database, schema)
        tables.open()
        tables.ensure(LEASES, LEASES_COLUMNS, LEASES)
        self._table = tables.reference(LEASES)
        if self._schema:
            tables.ensure(STATES, STATES_COLUMNS, STATES)
            self.states = StoredStates(f"{quote(database)}.{quote(schema)}", self._state_id)

    def _try(self) -> WarehouseError | LeaseError | None:
        """Take the lease; what stands in the way if it cannot be taken now."""
        try:
            with Transaction(self._session):
                if holder := self._holder():
                    return self._held_by(holder)
                self._take()
            # Two that found no lease may both have made one, and then both step back.
            rival = self._holder()
        except WarehouseError as error:
            # Another run's transaction touches the same rows, or the session was lost.
            self._disconnect()
            return error
        if rival:
            self._give_back()
            return self._held_by(rival)
        return None

    def _take(self) -> None:
        purpose = f"taking the lease of {self._state_id}"
        (row,) = self._session.execute(
            "SELECT DATE_PART(EPOCH_MILLISECOND, CURRENT_TIMESTAMP()) AS NOW, "
            f"(SELECT MAX(FENCING) FROM {self._table} WHERE {self._this_state}) AS LAST",
            purpose,
        )
        latest = self.states.latest(self._session) if self.states else None
        before = max(int(row["LAST"] or 0), latest[0] // STATES_A_RUN if latest else 0)
        self._fencing = max(int(row["NOW"]), before + 1)
        touched = f"{TOUCH}, FENCING = {self._fencing}"
        self._session.execute(
            f"UPDATE {self._table} SET {touched} WHERE {self._this_state}", purpose
        )
        self._session.execute(f"DELETE FROM {self._table} WHERE {self._this_state}", purpose)
        seats = " UNION ALL ".join(
            f"SELECT {literal(self._state_id)}, {seat}, {literal(self._owner)}, {self._fencing}, "
            f"{self._expiry if seat == 0 else 'NULL'}"
            for seat in range(int(self._config["max_connections"]) + 1)
        )
        names = ", ".join(quote(column.name) for column in LEASES_COLUMNS)
        self._session.execute(f"INSERT INTO {self._table} ({names}) {seats}", purpose)

    def _holder(self) -> dict[str, Any] | None:
        """The living lease of another run."""
        rows = self._session.execute(
            f"SELECT OWNER, EXPIRES_AT FROM {self._table} WHERE {self._this_state} AND SEAT = 0 "
            f"AND OWNER <> {literal(self._owner)} AND EXPIRES_AT > CURRENT_TIMESTAMP()",
            f"looking at the lease of {self._state_id}",
        )
        return rows[0] if rows else None

    def _renew(self) -> None:
        try:
            rows = self._session.execute(
                f"UPDATE {self._table} SET EXPIRES_AT = {self._expiry} WHERE {self._mine} "
                f"AND SEAT = 0 AND FENCING = {self._fencing}",
                f"renewing the lease of {self._state_id}",
            )
        except WarehouseError as error:
            logger.warning("The lease could not be renewed and will be tried again: %s", error)
            self._disconnect()
            return
        if int(next(iter(rows[0].values()))) != 1:
            raise self._lost()

    def _give_back(self) -> None:
        purpose = f"giving back the lease of {self._state_id}"
        self._session.execute(f"DELETE FROM {self._table} WHERE {self._mine}", purpose)

    # Texts

    @property
    def _this_state(self) -> str:
        return f"STATE_ID = {literal(self._state_id)}"

    @property
    def _mine(self) -> str:
        return f"{self._this_state} AND OWNER = {literal(self._owner)}"

    @property
    def _expiry(self) -> str:
        milliseconds = int(self._seconds * 1000)
        return f"DATEADD(MILLISECOND, {milliseconds}, CURRENT_TIMESTAMP())"

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _held_by(self, holder: Mapping[str, Any]) -> LeaseError:
        return LeaseError(
            f"Another run is loading {self._state_id}: {holder['OWNER']}, whose lease lasts until "
            f"{holder['EXPIRES_AT']:%Y-%m-%d %H:%M:%S %Z} unless it is renewed. Nothing was "
            "loaded. Let that run end and start again, or set lease_wait_seconds to wait longer."
        )

    def _lost(self) -> LeaseError:
        return LeaseError(
            f"Another run has taken the lease of {self._state_id}, because this one did not renew "
            "it in time; what this run had not committed by then is not kept. The other run "
            "goes on; nothing is to be done."
        )
