"""Fifty planted differences in a large table: found, repaired, gone; BENCH_ROWS=10000000.

The table is made in PostgreSQL and loaded by tap and loader. Then the copy in the warehouse is
changed behind their backs, and `tributary reconcile` runs as a process three times: it has to find
exactly what was planted, repair it, and find nothing.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from rich.console import Console
from run import ROWS, Bench, servers

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 11
CHUNK = 500_000
SECONDS = 60  # what finding them may take with ten million rows on two cores
CREATE = """
CREATE TABLE parcels (
  id bigint PRIMARY KEY, shop_id integer NOT NULL, name text NOT NULL, note text,
  price numeric(12,2), weight double precision, paid boolean, packed_at timestamptz NOT NULL,
  due_on date
)
"""
FILL = """
INSERT INTO parcels SELECT n, n % 5000, 'caf' || U&'\\00E9' || ' parcel ' || n,
  CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'left at the door' END,
  (n * 37 % 1000000) / 100.0, n * 0.001, n % 3 = 0,
  timestamptz '2024-01-01' + n * interval '1.000001 second', date '2024-01-01' + (n % 365)::int
FROM generate_series({start}, {end}) AS n
"""
COLUMNS = "ID, SHOP_ID, NAME, NOTE, PRICE, WEIGHT, PAID, PACKED_AT, DUE_ON"
# Six of each, and seven each of rows that are missing and rows that are too many.
CHANGES = {
    "text": "NAME = 'another parcel'",
    "unicode normal form": "NAME = REPLACE(NAME, '\u00e9', 'e\u0301')",
    "NULL against empty": "NOTE = CASE WHEN NOTE IS NULL THEN '' ELSE NULL END",
    "last digit of a decimal": "PRICE = PRICE + 0.01",
    "last bit of a float": "WEIGHT = CAST('{weight!r}' AS FLOAT)",
    "microsecond": "PACKED_AT = DATEADD(MICROSECOND, 1, PACKED_AT)",
}
EACH, ABSENT = 6, 7


@dataclass
class Planted:
    """Keys by what they must be reported as."""

    missing: set[int] = field(default_factory=set)
    extra: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)

    @property
    def as_reported(self) -> dict[str, set[tuple[str]]]:
        kinds = {"missing": self.missing, "extra": self.extra, "changed": self.changed}
        return {kind: {(str(key),) for key in keys} for kind, keys in kinds.items()}


def main() -> None:
    """Run everything in servers of its own."""
    console = Console()
    with servers() as bench:
        run(bench, console)


def run(bench: Bench, console: Console) -> None:
    """Make both tables, plant, find, repair, and look again.

    Raises:
        RuntimeError: what was found is not what was planted.
    """
    console.print(f"Making a table of {ROWS:,} rows on both sides ...")
    fill(bench)
    load(bench)
    planted = plant(bench)
    found, seconds = reconcile(bench, code=1)
    console.print(f"found {sum(map(len, found.values()))} differences in {seconds:.1f} s")
    if found != planted.as_reported:
        raise RuntimeError(f"Planted were {planted.as_reported}, found was {found}.")
    _, seconds = reconcile(bench, "--repair", code=0)
    console.print(f"found and repaired in {seconds:.1f} s")
    found, seconds = reconcile(bench, code=0)
    console.print(f"found {sum(map(len, found.values()))} in {seconds:.1f} s")
    if seconds > SECONDS * max(ROWS / 10_000_000, 1):
        raise RuntimeError(f"It took {seconds:.1f} s, more than {SECONDS}.")


def fill(bench: Bench) -> None:
    """Make the source's table."""
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        connection.execute(CREATE)
        for start in range(1, ROWS + 1, CHUNK):
            end = min(start + CHUNK - 1, ROWS)
            connection.execute(FILL.format(start=start, end=end).encode())
        connection.execute("VACUUM ANALYZE parcels")


def load(bench: Bench) -> None:
    """Load it, as a replaced table."""
    tap = {
        **bench.postgres,
        "tables": ["public.parcels"],
        "batch_config": bench.batch_config,
    }
    loader = {**bench.warehouse.config, "load_method": "overwrite"}
    with (bench.folder / "log").open("wb") as log:
        sender = subprocess.Popen(
            ["tap-postgres", "--config", bench.config("tap", tap)],
            stdout=subprocess.PIPE,
            stderr=log,
        )
        done = subprocess.run(
            ["tributary-target-snowflake", "--config", bench.config("loader", loader)],
            stdin=sender.stdout,
            stdout=subprocess.DEVNULL,
            stderr=log,
            check=False,
        )
    if sender.wait() or done.returncode:
        raise RuntimeError(f"Loading failed: {(bench.folder / 'log').read_text()[-2000:]}")


def plant(bench: Bench) -> Planted:
    """Change the copy; no key is chosen twice."""
    keys = iter(random.Random(SEED).sample(range(1, ROWS + 1), 2 * ABSENT + EACH * len(CHANGES)))  # noqa: S311 - nothing secret
    planted = Planted()
    for key in take(keys, ABSENT):
        write(bench, f"DELETE FROM {{}} WHERE ID = {key}")
        planted.missing.add(key)
    for number, key in enumerate(take(keys, ABSENT)):
        values = COLUMNS.replace("ID,", f"{ROWS + number * 100_000 + 1},", 1)
        write(bench, f"INSERT INTO {{}} ({COLUMNS}) SELECT {values} FROM {{}} WHERE ID = {key}")
        planted.extra.add(ROWS + number * 100_000 + 1)
    for change in CHANGES.values():
        for key in take(keys, EACH):
            weight = math.nextafter(key * 0.001, math.inf)
            write(bench, f"UPDATE {{}} SET {change.format(weight=weight)} WHERE ID = {key}")
            planted.changed.add(key)
    return planted


def take(keys: Iterator[int], count: int) -> list[int]:
    """The next few keys."""
    return [next(keys) for _ in range(count)]


def write(bench: Bench, statement: str) -> None:
    """Run a statement in the warehouse; `{}` is the table."""
    bench.warehouse.query(statement.replace("{}", "BENCH.PARCELS"))


def reconcile(
    bench: Bench, *options: str, code: int
) -> tuple[dict[str, set[tuple[str, ...]]], float]:
    """Run the command; the keys it reports, and its seconds.

    Raises:
        RuntimeError: it ended otherwise than it had to.
    """
    configs = [str(bench.folder / f"{name}.json") for name in ("tap", "loader")]
    command = [
        "tributary", "reconcile", "tap-postgres", "--tap-config", configs[0], "--loader-config",
        configs[1], "--format", "json", "--keys", "1000", *options,
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != code:
        raise RuntimeError(f"It ended with {done.returncode}: {done.stdout} {done.stderr[-2000:]}")
    tables: list[dict[str, Any]] = json.loads(done.stdout)
    (table,) = tables
    return {kind: set(map(tuple, keys)) for kind, keys in table["keys"].items()}, seconds


if __name__ == "__main__":
    main()
