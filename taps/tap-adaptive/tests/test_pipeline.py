"""Tap and loader as processes: every value of every table equals the vendor's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.adaptive import Stalled, csv_answer
from tapsupport.testing import parse_messages

if TYPE_CHECKING:
    from conftest import Source
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
PLAN, NESTED = "FY25 Plan", 'FY24 "R&D" <Plan>'
ALLOWED = ["4000", "NetARR"]
MONTHS = [f"{month:02d}/{year}" for year in (2025, 2026) for month in range(1, 13)]
CELLS = "ACCOUNT_CODE, LEVEL_NAME, DIMENSION_KEY, PERIOD_CODE, VALUE, MARK"


@dataclass
class Pipeline:
    """A vendor, a warehouse, and the state that a scheduler keeps between runs."""

    source: Source
    warehouse: Warehouse
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def run(self, *streams: str, **settings: Any) -> tuple[int, int]:
        """Run tap into loader; returns both exit codes and takes up the state printed."""
        storage = {"root": str(self.folder / "batches")}
        config = self.source.config(
            dimensions=["Product"],
            batch_config={"encoding": {"format": "parquet"}, "storage": storage},
            **settings,
        )
        tap = ["--config", self._write("tap", config), "--state", self._write("state", self.state)]
        if streams:
            tap += ["--catalog", self._write("catalog", self.source.catalog(*streams))]
        log = (self.folder / "log").open("wb")
        process = subprocess.Popen([BIN / "tap-adaptive", *tap], stdout=subprocess.PIPE, stderr=log)
        target = [BIN / "tributary-target-snowflake", "--config",
                  self._write("target", self.warehouse.config)]  # fmt: skip
        done = subprocess.run(
            target, stdin=process.stdout, capture_output=True, check=False, timeout=120
        )
        assert process.stdout
        process.stdout.close()
        states = [json.loads(line) for line in done.stdout.splitlines()]
        self.state = states[-1] if states else self.state
        log.close()
        return process.wait(60), done.returncode

    def rows(self, table: str, columns: str = "*", where: str = "TRUE") -> list[dict[str, Any]]:
        return self.warehouse.query(
            f"SELECT {columns} FROM {self.warehouse.schema}.{table} WHERE {where}"
        )

    def cells(self, table: str, version: str) -> list[tuple[Any, ...]]:
        where = f"VERSION_NAME = '{version}'"
        return sorted((tuple(r.values()) for r in self.rows(table, CELLS, where)), key=str)

    def expected(self, version: str) -> list[tuple[Any, ...]]:
        return sorted(
            (
                (account, level, json.dumps([product]), period, _stored(value), mark)
                for account, level, product, period, value, mark in self.source.cells_of(
                    version, ALLOWED, MONTHS
                )
            ),
            key=str,
        )

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


def _stored(value: Decimal | None) -> Decimal | None:
    """With the scale of its column, so that texts compare too."""
    return None if value is None else value.quantize(Decimal("1e-18"))


def _plain(value: Any) -> Any:
    """A value of the warehouse in the terms of JSON."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = isinstance(value, str) and value[:1] in ("[", "{")
    return json.loads(value) if text else value


@pytest.fixture
def pipeline(source: Source, warehouse: Warehouse, tmp_path: Path) -> Pipeline:
    return Pipeline(source, warehouse, tmp_path)


def test_every_method_lands_with_every_value(pipeline: Pipeline) -> None:
    """A second run replaces: what the vendor deleted is gone, and nothing is there twice."""
    assert pipeline.run() == (0, 0), (pipeline.folder / "log").read_text()[-2000:]
    del pipeline.source.vendor.outputs["exportGroups"][0].children[0]
    pipeline.source.vendor.outputs["exportRoles"] = []

    assert pipeline.run("groups", "roles") == (0, 0)

    sent = pipeline.source.sync(dimensions=["Product"])
    streams = {m["stream"] for m in sent.of_type("SCHEMA")}
    for stream in sorted(streams - {"data", "reports", "processed"}):
        found = [
            {name.lower(): _plain(value) for name, value in row.items()}
            for row in pipeline.rows(stream)
        ]
        expected = [{**record} for record in sent.records(stream)]
        assert sorted(found, key=_by_text) == sorted(expected, key=_by_text), stream
    assert pipeline.rows("groups", "NAME") == [{"NAME": "Sales & more"}]
    assert pipeline.rows("roles") == []
    assert pipeline.cells("data", "FY26 Plan") == pipeline.expected("FY26 Plan")
    assert pipeline.cells("reports", PLAN) == pipeline.expected(PLAN)


def _by_text(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, default=str)


def test_reports_replace_a_version_and_leave_the_others(pipeline: Pipeline) -> None:
    """Changed, emptied, renamed and removed versions; one that fails changes nothing."""
    vendor = pipeline.source.vendor
    folder = vendor.outputs["exportVersions"][0].children[1]
    assert pipeline.run("reports", "processed") == (0, 0)
    nested = pipeline.cells("reports", NESTED)
    old = pipeline.cells("reports", PLAN)
    vendor.plan.changes[PLAN, 0, "01/2025"] = "1,234.5"
    folder.children[0].attributes["isLocked"] = "false"

    assert pipeline.run("reports", "processed") == (1, 1)  # the loader has half a snapshot
    assert pipeline.cells("reports", PLAN) == old

    vendor.plan.changes[PLAN, 0, "01/2025"] = "1234.5"
    assert pipeline.run("reports", "processed") == (0, 0)
    assert pipeline.cells("reports", PLAN) == pipeline.expected(PLAN) != old

    assert pipeline.cells("reports", NESTED) == nested == pipeline.expected(NESTED)

    folder.children[0].attributes["name"] = "Final"
    vendor.plan.changes["Final", 0, "01/2025"] = "NaN"
    vendor.plan.rows[NESTED] = 0
    folder.children[1].children[0].attributes["isLocked"] = "true"
    assert pipeline.run("reports", "processed") == (1, 0)  # a version that went well came after
    assert pipeline.cells("reports", NESTED) == pipeline.cells("reports", "Final") == []

    vendor.plan.changes.clear()
    del folder.children[1]
    assert pipeline.run("reports", "processed") == (0, 0)
    assert "was removed" in (log := (pipeline.folder / "log").read_text())
    assert "was renamed to Final" in log
    assert pipeline.cells("reports", "Final") == pipeline.expected("Final")
    assert pipeline.cells("reports", PLAN)
    processed = pipeline.rows("processed", "VERSION_NAME, ROWS")
    assert {r["VERSION_NAME"]: r["ROWS"] for r in processed} == {
        version: len(pipeline.expected(version)) for version in (PLAN, NESTED, "Final")
    }


def test_a_signal_in_the_middle_of_an_answer(pipeline: Pipeline) -> None:
    """An answer can take minutes, and a scheduler waits for seconds: the tap ends at once.

    The last STATE covers what was sent before.
    """
    vendor = pipeline.source.vendor
    first = csv_answer("Account Name,Account Code,Level Name,01/2025\nA,4000,S,1\n", 1)
    vendor.instead["exportData"] = [first.encode(), Stalled(b"<response>", 60)]
    config = pipeline._write("tap", pipeline.source.config())
    catalog = pipeline._write("catalog", pipeline.source.catalog("reports", "processed"))
    tap = subprocess.Popen(
        [BIN / "tap-adaptive", "--config", config, "--catalog", catalog],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert tap.stdout
    lines = []
    for line in tap.stdout:
        lines.append(line)
        if b'"STATE"' in line and b'"41"' in line:
            break
    while len(vendor.called("exportData")) == 1:
        assert tap.poll() is None
    tap.send_signal(signal.SIGTERM)
    lines += tap.stdout.readlines()

    assert tap.wait(20) == 128 + signal.SIGTERM
    assert set(parse_messages(b"".join(lines)).state["bookmarks"]["reports"]["versions"]) == {"41"}
