"""A source database of its own for each test, and a tap that reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_postgres.tap import TapPostgres
from tapsupport.testing import SyncResult, parse_messages, run_tap

if TYPE_CHECKING:
    import signal

    from sandbox.postgres import Connection

TAP = Path(sys.executable).parent / "tap-postgres"


@dataclass(frozen=True)
class Source:
    """A database, and the tap on it: `lane` is "records" or "arrow"."""

    connection: Connection
    folder: Path

    def execute(self, *statements: str) -> None:
        with self.connection.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connection.connect() as connection:
            connection.execute("SET TimeZone TO 'UTC'")
            return connection.execute(statement).fetchall()

    def config(self, lane: str, **settings: Any) -> dict[str, Any]:
        names = ("host", "port", "user", "password", "database")
        config = {name: getattr(self.connection, name) for name in names}
        config["max_pending_files"] = 1000
        if lane == "arrow":
            storage = {"root": str(self.folder / "batches")}
            config["batch_config"] = {"encoding": {"format": "parquet"}, "storage": storage}
        return config | settings

    def sync(
        self,
        lane: str = "records",
        *,
        state: dict[str, Any] | None = None,
        catalog: dict[str, Any] | None = None,
        **settings: Any,
    ) -> SyncResult:
        return run_tap(TapPostgres, self.config(lane, **settings), state=state, catalog=catalog)

    def catalog(self, **settings: Any) -> dict[str, Any]:
        return TapPostgres(config=self.config("records", **settings)).catalog_dict

    def rows(self, lane: str, result: SyncResult, stream: str) -> list[dict[str, Any]]:
        """What was sent, in either lane."""
        if lane == "records":
            return result.records(stream)
        return result.table(stream).to_pylist() if result.batches(stream) else []

    def command(
        self, lane: str, *arguments: str, state: dict[str, Any] | None = None, **settings: Any
    ) -> list[str]:
        """A command line for the tap, with its files written."""
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.config(lane, **settings)))
        command = [str(TAP), "--config", str(config), *arguments]
        if state is not None:
            (self.folder / "state.json").write_text(json.dumps(state))
            command += ["--state", str(self.folder / "state.json")]
        return command

    def run(
        self, lane: str, *arguments: str, **options: Any
    ) -> tuple[subprocess.CompletedProcess[bytes], SyncResult]:
        """Run the tap as a process of its own, to its end."""
        command = self.command(lane, *arguments, **options)
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        messages = parse_messages(done.stdout) if not arguments else SyncResult([])
        return done, messages


@dataclass(frozen=True)
class Killed:
    """What a process that was ended by a signal had sent, up to its last STATE and in all."""

    exit_code: int
    result: SyncResult
    errors: str

    def until_state(self) -> SyncResult:
        kinds = [message["type"] for message in self.result.messages]
        last = len(kinds) - kinds[::-1].index("STATE")
        return SyncResult(self.result.messages[:last])


def end_after(
    source: Source, signum: signal.Signals, states: int, lane: str, **options: Any
) -> Killed:
    """Start the tap and send a signal after so many STATE lines."""
    log = source.folder / "tap.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            source.command(lane, **options), stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdout
    lines = []
    for line in process.stdout:  # to the end, and not by communicate(): it skips what is buffered
        lines.append(line)
        states -= b'"type":"STATE"' in line
        if states == 0:
            os.kill(process.pid, signum)
    process.wait(30)
    return Killed(process.returncode, parse_messages(b"".join(lines)), log.read_text())


@pytest.fixture(name="end_after")
def end_after_fixture() -> Any:
    return end_after


@pytest.fixture
def source(postgres_database: Connection, tmp_path: Path) -> Source:
    return Source(postgres_database, tmp_path)


@pytest.fixture(params=["records", "arrow"])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)
