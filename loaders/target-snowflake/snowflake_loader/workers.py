"""Threads that hold a session each, so that several streams are committed at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowflake_loader.ledger import LOADS_COLUMNS, REJECTED_COLUMNS
from snowflake_loader.names import LOADS, REJECTED
from snowflake_loader.tables import SchemaTables
from snowflake_loader.warehouse import Session, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.leases import Lease

JOBS_AHEAD = 4  # uploads and commits that may wait for one session; then reading waits


@dataclass(frozen=True)
class Workplace:
    """What a job finds in its thread.

    Attributes:
        session: The thread's session.
        tables: The tables it has seen.
        lease: The run's lease, if it has one.
        seat: The number of the session, for the lease.
        config: The loader's settings.
        run_id: Name of the run.
    """

    session: Session
    tables: SchemaTables
    lease: Lease | None
    seat: int
    config: Mapping[str, Any]
    run_id: str


Job = Callable[[Workplace], None]


class Worker:
    """One thread with one session; its jobs run in the order they were given."""

    _opening = threading.Lock()  # two sessions must not create the schema or ledger at once

    def __init__(
        self, config: Mapping[str, Any], run_id: str, lease: Lease | None, number: int
    ) -> None:
        self._config = config
        self._run_id = run_id
        self._lease = lease
        self._number = number
        self._jobs: queue.Queue[Job | None] = queue.Queue(JOBS_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"session-{number}", daemon=True)
        self._thread.start()

    def give(self, job: Job) -> None:
        """Queue a job, waiting while too many are queued.

        Raises:
            LoadError: an earlier job failed; whatever it raised.
        """
        self.check()
        self._jobs.put(job)

    def check(self) -> None:
        """Raise what a job raised, if one did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for all jobs and close the session; raises what a job raised."""
        self._jobs.put(None)
        self._thread.join()
        self.check()

    def abandon(self) -> None:
        """Let the running job end and drop those behind it."""
        self._error = self._error or RuntimeError("the load was given up")
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        place: Workplace | None = None
        while (job := self._jobs.get()) is not None:
            if self._error is not None:
                continue  # Emptied all the same, so that the reading thread never waits for ever.
            try:
                place = place or self._open()
                job(place)
            except BaseException as error:  # noqa: BLE001 - raised again in the reading thread
                self._error = error
        if place:
            place.session.close()

    def _open(self) -> Workplace:
        session = connect(self._config, self._run_id)
        if self._lease:
            self._lease.wait()
        database, schema = self._config["database"].upper(), self._config["schema"].upper()
        tables = SchemaTables(session, database, schema)
        with self._opening:
            tables.open()
            tables.ensure(LOADS, LOADS_COLUMNS, LOADS)
            tables.ensure(REJECTED, REJECTED_COLUMNS, REJECTED)
        tables.read_published()
        return Workplace(session, tables, self._lease, self._number, self._config, self._run_id)


@dataclass
class Workers:
    """Up to `limit` workers; streams are dealt out among them in turn."""

    config: Mapping[str, Any]
    run_id: str
    limit: int
    lease: Lease | None = None
    _workers: list[Worker] = field(default_factory=list)
    _dealt: int = 0

    def deal(self, *, first: bool = False) -> Worker:
        """Return the worker for the next stream, started when it is the first of its turn.

        Args:
            first: whether it must be the first worker, which commits several streams together.
        """
        place = 0 if first else self._dealt % self.limit
        self._dealt += not first
        while len(self._workers) <= place:
            number = len(self._workers)
            self._workers.append(Worker(self.config, self.run_id, self.lease, number))
        return self._workers[place]

    def check(self) -> None:
        """Raise what any worker's job raised."""
        for worker in self._workers:
            worker.check()

    def finish(self) -> None:
        """Wait for every worker; raises the first error after all have ended."""
        errors: list[BaseException] = []
        for worker in self._workers:
            try:
                worker.finish()
            except BaseException as error:  # noqa: BLE001 - raised below, after the others
                errors.append(error)
        self._workers = []
        if errors:
            raise errors[0]

    def abandon(self) -> None:
        """End every worker after the job it is at."""
        for worker in self._workers:
            worker.abandon()
        self._workers = []
