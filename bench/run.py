"""Measures Tributary and its peers on one table, in one run; see README.md."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from measure import Measurement, measure
from rich.console import Console
from rich.table import Table

from manifests import DLT_INCREMENT, INCREMENT, increments, many_tables
from sandbox import settings
from sandbox.postgres import Connection, Postgres
from sandbox.testing import Warehouse
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
DEFAULT_ROWS = 2_000_000
ROWS = int(os.environ.get("BENCH_ROWS", DEFAULT_ROWS))
SLOW_ROWS = max(ROWS // 10, 1)  # for what reads record by record at a tenth of the speed
STREAM = "public-bench"

CREATE = """
CREATE TABLE bench (
  id bigint PRIMARY KEY, project_id integer NOT NULL, user_id integer, name text NOT NULL,
  status text, description text, ref text, amount numeric(12,2), duration double precision,
  ok boolean, created_at timestamptz NOT NULL, updated_at timestamptz, due_on date,
  token uuid, started_at timestamp
)
"""
FILL = """
INSERT INTO bench SELECT
  n, n % 5000, n * 7 % 90000, 'job ' || n || ' of the pipeline', (ARRAY['success','failed',
  'running','canceled'])[1 + n % 4], repeat(md5(n::text), 5), 'refs/heads/feature-' || n % 1000,
  (n * 37 % 1000000) / 100.0, n * 0.001, n % 3 = 0,
  timestamptz '2024-01-01' + n * interval '1 second',
  timestamptz '2024-06-01' + n * interval '1 second', date '2024-01-01' + (n % 365)::int,
  md5(n::text)::uuid, timestamp '2024-01-01' + n * interval '1 second'
FROM generate_series({start}, {end}) AS n
"""
CHUNK = 500_000
PEERS = ("dlt, connectorx, into DuckDB", "MeltanoLabs tap-postgres, records to nowhere")


class Bench:
    """The servers, the folder and what has been measured so far."""

    def __init__(self, folder: Path, postgres: Connection, service: WarehouseService) -> None:
        self.folder = folder
        self.batches = folder / "files"
        self.batches.mkdir()
        self.postgres = {
            name: getattr(postgres, name)
            for name in ("host", "port", "user", "password", "database")
        }
        self.warehouse = Warehouse({**service.config, "schema": "BENCH"}, service)
        self.servers = {"warehouse": int(service.pid() or 0)}
        self.results: list[Measurement] = []
        self.console = Console(stderr=True)

    @property
    def conninfo(self) -> str:
        """The database as psycopg takes it."""
        login = dict(self.postgres)
        return psycopg.conninfo.make_conninfo(dbname=login.pop("database"), **login)

    @property
    def batch_config(self) -> dict[str, Any]:
        """How a tap hands files over."""
        storage = {"root": self.batches.as_uri()}
        return {"encoding": {"format": "parquet"}, "storage": storage}

    def run(
        self, name: str, commands: dict[str, list[str]], rows: int = ROWS, **files: Path
    ) -> None:
        """Measure a pipe of commands; where one loads, the warehouse's memory and the files too.

        `files`: `read` for the first one's input, `write` for the last one's output.
        """
        also, batches = (self.servers, self.batches) if "loader" in commands else (None, None)
        result = measure(
            name, rows, commands, folder=self.folder, also=also, batches=batches, **files
        )
        self.results.append(result)
        self.console.print(
            f"{name}: {result.rows_per_second:,.0f} rows/s, {result.seconds} s, "
            f"{result.peak_megabytes} MB"
        )

    def keep_medians(self, *names: str) -> None:
        """Of several results with one name, keep the one in the middle."""
        for name in names:
            found = sorted((r for r in self.results if r.name == name), key=attrgetter("seconds"))
            middle = found[len(found) // 2]
            self.results = [r for r in self.results if r.name != name or r is middle]

    def config(self, name: str, values: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(values))
        return str(path)

    def tap_config(self, *, arrow: bool) -> str:
        values = {**self.postgres, "tables": ["public.bench"]}
        if arrow:
            values["batch_config"] = self.batch_config
        return self.config(f"tap-{arrow}", values)

    def target_config(self, name: str, method: str) -> str:
        schema = name.upper()
        return self.config(
            f"target-{name}",
            {**self.warehouse.config, "schema": schema, "load_method": method},
        )


def fill(conninfo: str) -> None:
    """Make the 15-column table of the fact sheet "postgres_pipeline.md", section 5."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(CREATE)
        for start in range(1, ROWS + 1, CHUNK):
            end = min(start + CHUNK - 1, ROWS)
            connection.execute(FILL.format(start=start, end=end))  # our own text
        connection.execute("VACUUM ANALYZE bench")


def copy_to_nowhere(bench: Bench) -> None:
    """The limit: what Postgres itself can send."""
    script = (
        "import psycopg, sys\n"
        "with psycopg.connect(sys.argv[1]) as c, c.cursor() as k:\n"
        "    with k.copy('COPY (SELECT * FROM bench) TO STDOUT (FORMAT binary)') as rows:\n"
        "        for _ in rows: pass\n"
    )
    command = [sys.executable, "-c", script, bench.conninfo]
    bench.run("binary COPY to nowhere (the limit)", {"psycopg": command})


def ours(bench: Bench) -> None:
    """Our tap and loader, alone and together, in both lanes."""
    catalog = str(make_catalog(bench))
    arrow = ["tap-postgres", "--config", bench.tap_config(arrow=True), "--catalog", catalog]
    record = ["tap-postgres", "--config", bench.tap_config(arrow=False), "--catalog", catalog]
    drain = [sys.executable, str(HERE / "drain.py")]
    bench.run("tap alone, arrow lane", {"tap": arrow, "drain": drain})
    bench.run("tap alone, record lane", {"tap": record})
    loader_alone(bench, arrow, record)
    for name, tap in (("arrow", arrow), ("record", record)):
        target = ["tributary-target-snowflake", "--config", bench.target_config(name, "overwrite")]
        bench.run(f"end to end, {name} lane", {"tap": tap, "loader": target})
        (row,) = bench.warehouse.query(f'SELECT COUNT(*) AS N FROM "{name.upper()}".BENCH')
        if row["N"] != ROWS:
            raise RuntimeError(f"{name} lane: {row['N']} rows arrived of {ROWS}")


def loader_alone(bench: Bench, arrow: list[str], record: list[str]) -> None:
    """Our loader, fed from files that were made before the clock starts."""
    keep = bench.folder / "keep"
    messages = bench.folder / "arrow.jsonl"
    drain = [sys.executable, str(HERE / "drain.py"), str(messages), str(keep)]
    measure("files", ROWS, {"tap": arrow, "drain": drain}, folder=bench.folder)
    config = bench.target_config("loader_arrow", "overwrite")
    target = ["tributary-target-snowflake", "--config", config]
    bench.run("loader alone, arrow lane", {"loader": target}, read=messages)
    lines = bench.folder / "records.jsonl"
    tee = [sys.executable, str(HERE / "drain.py"), str(lines)]
    measure("records", ROWS, {"tap": record, "drain": tee}, folder=bench.folder)
    config = bench.target_config("loader_record", "overwrite")
    target = ["tributary-target-snowflake", "--config", config]
    bench.run("loader alone, record lane", {"loader": target}, read=lines)
    lines.unlink()


def make_catalog(bench: Bench) -> Path:
    """Discover the table and ask for a full-table read."""
    config = bench.tap_config(arrow=False)
    found = subprocess.run(
        ["tap-postgres", "--config", config, "--discover"], capture_output=True, check=True
    )
    path = bench.folder / "catalog.json"
    path.write_bytes(found.stdout)
    return path


def dlt_connectorx(bench: Bench) -> None:
    """The fastest peer we know: connectorx reads, DuckDB is loaded in the same process."""
    bench.run(PEERS[0], {"dlt": [*dlt_command(bench, "whole"), "replace"]})


def increment(bench: Bench) -> None:
    """A first load by manifest, then 1 % of the rows, against dlt's incremental merge."""
    increments(bench, dlt_command(bench, "merge"), ROWS)


def dlt_command(bench: Bench, name: str) -> list[str]:
    """Return dlt's command with a database of this name, the write disposition still to come."""
    p = bench.postgres
    url = (
        f"postgresql+psycopg2://{p['user']}:{p['password']}@{p['host']}:{p['port']}/{p['database']}"
    )
    return [
        ".venv-bench-dlt/bin/python",
        str(HERE / "peers" / "dlt_load.py"),
        url,
        "bench",
        str(bench.folder / f"dlt_{name}.duckdb"),
        str(bench.folder / f"dlt_{name}"),
    ]


def meltanolabs_tap(bench: Bench) -> None:
    """On a tenth of the rows: it reads record by record."""
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE part AS SELECT * FROM bench WHERE id <= {SLOW_ROWS}")
        connection.execute("ALTER TABLE part ADD PRIMARY KEY (id)")
    config = bench.config("meltanolabs", {**bench.postgres, "filter_schemas": ["public"]})
    tap = ".venv-bench-meltanolabs/bin/tap-postgres"
    found = subprocess.run([tap, "--config", config, "--discover"], capture_output=True, check=True)
    catalog = json.loads(found.stdout)
    catalog["streams"] = [s for s in catalog["streams"] if s["tap_stream_id"] == "public-part"]
    for entry in catalog["streams"][0]["metadata"]:
        entry["metadata"]["selected"] = True
    path = bench.config("meltanolabs-catalog", catalog)
    command = [tap, "--config", config, "--catalog", path]
    bench.run(PEERS[1], {"tap": command}, rows=SLOW_ROWS)


def report(bench: Bench) -> None:
    """Print the table with ratios and write the figures as JSON."""
    limit = bench.results[0].rows_per_second
    speeds = {result.name: result.rows_per_second for result in bench.results}
    rivals = {INCREMENT: DLT_INCREMENT, DLT_INCREMENT: DLT_INCREMENT}
    table = Table(title=f"{ROWS:,} rows, 15 columns, {platform.machine()}, {os.cpu_count()} cores")
    for heading in ("", "rows/s", "seconds", "of the limit", "times dlt", "files", "peak MB"):
        table.add_column(heading, justify="left" if not heading else "right")
    for result in bench.results:
        table.add_row(
            result.name,
            f"{result.rows_per_second:,.0f}",
            f"{result.seconds:.1f}",
            f"{result.rows_per_second / limit:.2f}",
            f"{result.rows_per_second / speeds[rivals.get(result.name, PEERS[0])]:.2f}",
            str(result.peak_files or ""),
            ", ".join(f"{part} {peak:.0f}" for part, peak in result.peak_megabytes.items()),
        )
    Console().print(table)
    figures = [asdict(r) | {"rows_per_second": round(r.rows_per_second)} for r in bench.results]
    name = "results.json" if ROWS == DEFAULT_ROWS else f"results_{ROWS}.json"
    (HERE / name).write_text(json.dumps({"rows": ROWS, "results": figures}, indent=2))


@contextmanager
def servers() -> Iterator[Bench]:
    """A PostgreSQL and a warehouse of the measurement's own, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="tributary-bench-"))
    postgres = Postgres(folder / "postgres", settings.free_port())
    service = WarehouseService(
        replace(settings.load(), folder=folder, warehouse_port=settings.free_port())
    )
    try:
        postgres.start()
        service.start()
        with postgres.fresh_database() as database:
            yield Bench(folder, database, service)
    finally:
        service.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run every measurement, one after the other, on servers of their own."""
    steps: list[Callable[[Bench], None]] = [
        copy_to_nowhere,
        ours,
        dlt_connectorx,
        meltanolabs_tap,
        increment,
        many_tables,
    ]
    with servers() as bench:
        bench.console.print(f"Filling a table with {ROWS:,} rows ...")
        fill(bench.conninfo)
        for step in steps:
            step(bench)
        report(bench)


if __name__ == "__main__":
    main()
