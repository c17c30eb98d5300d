"""Measures tap-oci against what pyarrow and csv.DictReader need for the same report files.

Arguments: how many files, and how many rows each has; `python bench/oci_reports.py 200 100000`.
Everything is measured in one run, each way in a process (or pipe of processes) of its own.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from measure import Measurement, measure
from pyarrow import csv as arrow_csv

from sandbox import settings
from sandbox.testing import Warehouse
from sandbox.vendors.oci_reports import COST, FINGERPRINT, OCI, TENANCY, USER, write_key
from sandbox.vendors.oci_rows import FIRST_DAY, Report
from sandbox.vendors.vendor import with_transport
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DISTINCT = 20  # files that differ; each stands in the bucket under as many names as are needed
CORES = 2
DICT_READER_FILES = 5
NEWLINES = arrow_csv.ParseOptions(newlines_in_values=True)  # as these files have them


def make(folder: Path, rows: int, number: int) -> None:
    """Make one report file, with every column there is."""
    report = Report(100 + 6 * number, FIRST_DAY + timedelta(days=10, hours=6), rows)
    (folder / f"{number:03}.csv.gz").write_bytes(report.cost_file())


def paths(folder: Path, files: int) -> Iterator[Path]:
    """The files, each as often as it stands in the bucket."""
    found = sorted(folder.glob("*.csv.gz"))
    return islice((found[n % len(found)] for n in range(files)), files)


def serve(folder: Path, files: int, port: int) -> None:
    """The stand-in with these files in its bucket."""
    vendor = OCI(days=0)
    bodies = {path: path.read_bytes() for path in folder.glob("*.csv.gz")}
    for n, path in enumerate(paths(folder, files)):
        vendor.put(f"{COST}{n:016}-00001.csv.gz", bodies[path], FIRST_DAY)
    uvicorn.run(with_transport(vendor), port=port, log_level="warning", proxy_headers=False)


def parse(folder: Path, files: int) -> None:
    """What pyarrow needs to decompress and parse, a file on each core."""
    read = partial(arrow_csv.read_csv, parse_options=NEWLINES)
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(lambda path: read(path).num_rows, paths(folder, files)):
            pass


def read_dicts(folder: Path, files: int) -> None:
    """What Oracle's sample does."""
    for path in paths(folder, files):
        with gzip.open(path, "rt", newline="") as text:
            for _ in csv.DictReader(text):
                pass


class Bench:
    """The files, the servers and what has been measured."""

    def __init__(self, folder: Path, files: int, rows: int) -> None:
        self.folder, self.files, self.rows = folder, files, rows
        self.reports = folder / "reports"
        self.reports.mkdir()
        with ProcessPoolExecutor(CORES) as pool:
            list(pool.map(partial(make, self.reports, rows), range(min(files, DISTINCT))))
        self.port = settings.free_port()
        self.results: list[Measurement] = []

    def run(self, name: str, commands: dict[str, list[str]], files: int | None = None) -> None:
        rows = (files or self.files) * self.rows
        self.results.append(measure(name, rows, commands, folder=self.folder))
        print(json.dumps(asdict(self.results[-1])), f"{self.results[-1].rows_per_second:,.0f}/s")

    def self(self, what: str, *numbers: int) -> list[str]:
        return [sys.executable, __file__, what, str(self.reports), *map(str, numbers)]

    def config(self, name: str, values: dict[str, object]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(values))
        return str(path)

    def tap(self) -> list[str]:
        key = self.folder / "key.pem"
        write_key(key)
        root = (self.folder / "files").as_uri()
        values = {
            "tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "key_file": str(key),
            "service_endpoint": f"http://{settings.HOST}:{self.port}",
            "batch_config": {"encoding": {"format": "parquet"}, "storage": {"root": root}},
        }  # fmt: skip
        return ["tap-oci", "--config", self.config("tap", values)]


def main(files: int, rows: int) -> None:
    """Measure, and print the ratios."""
    with tempfile.TemporaryDirectory(prefix="oci-") as name:
        bench = Bench(Path(name), files, rows)
        few = min(files, DICT_READER_FILES)
        bench.run("csv.DictReader", {"reader": bench.self("read_dicts", few)}, few)
        bench.run("pyarrow alone", {"parser": bench.self("parse", files)})
        server = subprocess.Popen(bench.self("serve", files, bench.port))
        time.sleep(3)  # reading the files into memory
        warehouse = WarehouseService(
            replace(settings.load(), folder=bench.folder, warehouse_port=settings.free_port())
        )
        try:
            drain = [sys.executable, str(HERE / "drain.py")]
            bench.run("tap alone", {"tap": bench.tap(), "drain": drain})
            warehouse.start()
            target = bench.config("target", {**warehouse.config, "schema": "BENCH"})
            loader = ["tributary-target-snowflake", "--config", target]
            bench.run("end to end", {"tap": bench.tap(), "loader": loader})
            table = Warehouse({**warehouse.config, "schema": "BENCH"}, warehouse)
            (row,) = table.query("SELECT COUNT(*) AS N FROM BENCH.OCI_COST_REPORT")
            if row["N"] != files * rows:
                raise RuntimeError(f"{row['N']} rows arrived of {files * rows}.")
        finally:
            server.terminate()
            warehouse.stop()
        dicts, arrow, tap, whole = (result.rows_per_second for result in bench.results)
        print(
            f"tap / pyarrow {tap / arrow:.2f} (>= 0.6), end to end / pyarrow {whole / arrow:.2f} "
            f"(>= 0.35), tap / csv.DictReader {tap / dicts:.1f} (>= 8)"
        )


if __name__ == "__main__":
    if sys.argv[1] in {"serve", "parse", "read_dicts"}:
        what, folder, *numbers = sys.argv[1:]
        globals()[what](Path(folder), *map(int, numbers))
    else:
        main(*map(int, sys.argv[1:]))
