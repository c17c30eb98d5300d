"""A full sync that is killed again and again, and what it read twice; see README.md."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from typing import Any

import psycopg
from rich.console import Console
from run import ROWS, Bench, fill, servers

from manifests import manifest_tap, target

KILLS = 5
SEED = 7
COMPARED_ROWS = 100_000  # at once
COLUMNS = "id, project_id, user_id, name, status, description, ref, amount, ok, created_at, due_on"
TABLE = "KILLS.SHOP_BENCH"


class FullSync:
    """Runs of tap into loader, each taking up the state that the one before left."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._state: dict[str, Any] = {}
        self._tap = manifest_tap(bench)
        self._loader = ["tributary-target-snowflake", "--config", target(bench, "kills")]

    def run(self, kill_after: float | None = None) -> tuple[int, float]:
        """Run, killing the tap after so many seconds; its exit code and the seconds it took.

        Raises:
            RuntimeError: the loader failed in a run that was left alone.
        """
        start = time.monotonic()
        states = self._bench.folder / "states.jsonl"
        command = [*self._tap, "--state", self._bench.config("state", self._state)]
        with states.open("wb") as written, (self._bench.folder / "log").open("ab") as log:
            tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
            loader = subprocess.Popen(self._loader, stdin=tap.stdout, stdout=written, stderr=log)
            assert tap.stdout  # noqa: S101 - it is a pipe
            tap.stdout.close()
            try:
                tap.wait(kill_after)
            except subprocess.TimeoutExpired:
                tap.send_signal(signal.SIGKILL)
            if loader.wait() != 0 and kill_after is None:
                end = (self._bench.folder / "log").read_text()[-2000:]
                raise RuntimeError(f"The loader ended with {loader.returncode}:\n{end}")
        if lines := states.read_text().splitlines():
            self._state = json.loads(lines[-1])
        return tap.wait(), time.monotonic() - start


def main() -> None:
    """Kill a full sync `KILLS` times at random moments, let it end, and compare every row."""
    console = Console()
    moments = random.Random(SEED)  # noqa: S311 - nothing secret
    with servers() as bench:
        console.print(f"Filling a table with {ROWS:,} rows ...")
        fill(bench.conninfo)
        sync = FullSync(bench)
        for _ in range(KILLS):
            code, seconds = sync.run(kill_after=moments.uniform(3, 4 + ROWS / 1_000_000))
            console.print(f"killed (exit {code}) and drained after {seconds:.1f} s")
        code, seconds = sync.run()
        console.print(f"ended with exit {code} after {seconds:.1f} s")
        report(bench, console)


def report(bench: Bench, console: Console) -> None:
    """Print what was loaded twice, and whether the table equals the source."""
    (ledger,) = bench.warehouse.query(
        "SELECT SUM(ROWS_READ) AS N, MAX(ROWS_READ / FILES) AS RANGE FROM KILLS._LOADS"
    )
    (held,) = bench.warehouse.query(f"SELECT COUNT(*) AS N FROM {TABLE}")
    differing = sum(1 for first in range(1, ROWS + 1, COMPARED_ROWS) if _differs(bench, first))
    console.print(
        f"{held['N']:,} rows in the table, {int(ledger['N']) - ROWS:,} loaded twice (a file holds "
        f"{int(ledger['RANGE']):,}), {differing} of {-(-ROWS // COMPARED_ROWS)} slices differ"
    )
    if differing or held["N"] != ROWS:
        raise SystemExit("The table does not equal its source.")


def _differs(bench: Bench, first: int) -> bool:
    within = f"id BETWEEN {first} AND {first + COMPARED_ROWS - 1}"
    query = f"SELECT {COLUMNS} FROM {{}} WHERE {within} ORDER BY id"
    with psycopg.connect(bench.conninfo) as connection:
        source = connection.execute(query.format("bench").encode()).fetchall()
    loaded = bench.warehouse.query(query.format(TABLE))
    return source != [tuple(row.values()) for row in loaded]


if __name__ == "__main__":
    main()
