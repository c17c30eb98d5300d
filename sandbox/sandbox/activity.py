"""Writers that keep a table changing while something else reads it."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Self

from psycopg import sql

from sandbox.process import wait_until
from sandbox.settings import SandboxError

if TYPE_CHECKING:
    from types import TracebackType

    import psycopg

    from sandbox.postgres import Connection

MOST_STATEMENTS = 5  # of one transaction
SLOW_ONE_IN = 5  # one transaction of so many stays open for a while
PAUSE_SECONDS = 0.02  # the longest rest between two transactions
WEIGHTS = {"insert": 3, "update": 5, "delete": 2}
STATEMENTS = {
    "insert": """
        INSERT INTO {table} SELECT (jsonb_populate_record(
            model,
            jsonb_build_object({key_name}, %(new)s::bigint, 'updated_at', clock_timestamp())
        )).* FROM {table} AS model WHERE {key} = %(old)s""",
    "update": "UPDATE {table} SET {change} updated_at = clock_timestamp() WHERE {key} = %(old)s",
    "delete": "DELETE FROM {table} WHERE {key} = %(old)s",
}


@dataclass(frozen=True)
class Done:
    """What was committed: rows and transactions."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    transactions: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.transactions + other.transactions,
        )


class Writer:
    """Inserts, updates and deletes rows of one table while it is entered as a context manager.

    Several sessions write at once, each to keys of its own. `updated_at` is the moment of the
    statement, in UTC, and some transactions commit up to `longest_seconds` later: their rows
    appear after others with a later `updated_at`. What each session does follows from `seed`;
    how far it gets and how the sessions interleave does not. Leaving lets every session commit
    what it has begun, and raises what went wrong in one of them.

    Args:
        connection: The database.
        table: A table with an integer key and a column `updated_at`, and with a row for each
            session at least; new rows are copies of existing ones under a new key.
        key: The key column.
        change: What an update sets beside `updated_at` (`n = n + 1`).
        sessions: How many write at once.
        longest_seconds: For how long a transaction may stay open.
        seed: Of the random numbers.
    """

    def __init__(  # noqa: PLR0913 - all but two have defaults
        self,
        connection: Connection,
        table: str,
        *,
        key: str = "id",
        change: str = "",
        sessions: int = 3,
        longest_seconds: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.connection = connection
        self.longest_seconds = longest_seconds
        self.stopping = threading.Event()
        self._names = {
            "table": sql.Identifier(*table.split(".")),
            "key": sql.Identifier(key),
            "key_name": sql.Literal(key),
            "change": sql.SQL(f"{change}," if change else ""),
        }
        self._label = table
        self._pool = ThreadPoolExecutor(sessions, thread_name_prefix="writer")
        self._sessions = [_Session(self, number, seed) for number in range(sessions)]
        self._futures: list[Future[None]] = []

    @property
    def done(self) -> Done:
        """What all sessions have committed so far."""
        return sum((session.done for session in self._sessions), Done())

    def wait(self, transactions: int) -> None:
        """Wait until so many transactions have been committed.

        Raises:
            SandboxError: A session failed (leaving the writer says how), or it takes too long.
        """
        if not wait_until(lambda: self.done.transactions >= transactions, self._is_well):
            raise SandboxError(
                f"Writing to {self._label} stopped or is slow: {self.done.transactions}"
                f" transactions were committed, not {transactions}."
            )

    def statement(self, template: str) -> sql.Composed:
        """Put the table's names into a statement."""
        return sql.SQL(template).format(**self._names)

    def _is_well(self) -> bool:
        return not any(future.done() for future in self._futures)

    def __enter__(self) -> Self:
        with self.connection.connect() as connection:
            rows = connection.execute(self.statement("SELECT {key} FROM {table} ORDER BY 1"))
            keys = [row[0] for row in rows]
        step = len(self._sessions)
        if len(keys) < step:
            raise SandboxError(
                f"Cannot write to {self._label}: it has {len(keys)} rows, and the writer's"
                f" {step} sessions need one each. Insert some first."
            )
        for number, session in enumerate(self._sessions):
            session.take(keys[number::step], count(keys[-1] + 1 + number, step))
            self._futures.append(self._pool.submit(session.run))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._pool.shutdown()
        for future in self._futures:
            future.result()


class _Session:
    """One connection of a writer, with the keys that only it writes to."""

    def __init__(self, writer: Writer, number: int, seed: int) -> None:
        self.done = Done()
        self._writer = writer
        self._random = random.Random(f"{seed} {number}")  # noqa: S311 - no secret hangs on it
        self._keys: list[int] = []
        self._new_keys = count()

    def take(self, keys: list[int], new_keys: count[int]) -> None:
        self._keys, self._new_keys = keys, new_keys

    def run(self) -> None:
        """Write, one transaction after the other, until the writer stops."""
        stopping = self._writer.stopping
        with self._writer.connection.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            while not stopping.wait(self._random.uniform(0, PAUSE_SECONDS)):
                self.done += self._transaction(connection)

    def _transaction(self, connection: psycopg.Connection) -> Done:
        done = Done(transactions=1)
        with connection.transaction():
            for _ in range(self._random.randint(1, MOST_STATEMENTS)):
                done += self._statement(connection)
            if self._random.randrange(SLOW_ONE_IN) == 0:
                self._writer.stopping.wait(self._random.uniform(0, self._writer.longest_seconds))
        return done

    def _statement(self, connection: psycopg.Connection) -> Done:
        kind = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "delete" and len(self._keys) == 1:
            kind = "insert"  # which needs a row to copy
        place = self._random.randrange(len(self._keys))
        keys = {"old": self._keys[place], "new": next(self._new_keys)}
        connection.execute(self._writer.statement(STATEMENTS[kind]), keys)
        if kind == "insert":
            self._keys.append(keys["new"])
        elif kind == "delete":
            del self._keys[place]
        return Done(**{f"{kind.removesuffix('e')}ed": 1})
