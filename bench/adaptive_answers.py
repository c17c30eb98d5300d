"""How many megabytes of an Adaptive answer a second of one core reads, and in how much memory."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree
from measure import measure as measure_processes

from sandbox.vendors.adaptive import LOGIN, PASSWORD, Adaptive, csv_answer, success
from sandbox.vendors.adaptive_data import SHARED_FOLDER, accounts, n
from sandbox.vendors.server import serve
from tap_adaptive.answer import Answer, AnswerWriter
from tap_adaptive.cells import Cells
from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.report_request import ReportRequest
from tap_adaptive.rows import read_rows
from tap_adaptive.streams import Accounts
from tap_adaptive.tap import TapAdaptive

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, ACCOUNTS, TIMES = 8000, 12_000, 3
MONTHS = [f"{month:02d}/{year}" for year in (2025, 2026) for month in range(1, 13)]
MEGABYTE = 1_000_000
SIZES = [(10, 2000), (20, 2000), (40, 2000), (10, 20_000)]  # versions, and rows of each
REPORTS = ("reports", "processed")


def wide_answer(rows: int) -> bytes:
    """ExportData of so many rows and 24 months."""
    text = f"Account Name,Account Code,Level Code,Level Name,{','.join(MONTHS)}\n" + "".join(
        f'"Revenue & co","4000","{row}","Level {row}",'
        f"{','.join(f'{row * 1000 + month}.25' for month in range(len(MONTHS)))}\n"
        for row in range(rows)
    )
    return csv_answer(text, rows).encode()


def received(document: bytes, folder: Path) -> Answer:
    """The answer as the tap has it when the last byte has come."""
    answer = Answer("exportData", folder / "answer.xml", folder / "output.txt")
    with AnswerWriter(answer) as writer:
        for start in range(0, len(document), 1 << 16):
            writer.feed(document[start : start + (1 << 16)])
        writer.close()
    return answer


def read_cells(document: bytes, folder: Path) -> int:
    """From XML to one row a cell."""
    output = CsvOutput(received(document, folder))
    output.check_row_count(ROWS)
    request = ReportRequest(("4000",), False, (), False, (), None, None, 0, "local")  # noqa: FBT003 - in the order of the fields
    cells = Cells(request, 1, "V")
    return sum(batch.num_rows for batch in cells.batches(output.header, output.batches()))


def read_tree(document: bytes, folder: Path) -> int:
    """From XML to the rows of a hierarchy."""
    return sum(1 for _ in read_rows(received(document, folder), Accounts.shape))


def measure(read: Callable[[bytes, Path], int], document: bytes) -> float:
    """Megabytes a second of processor time, the best of several."""
    best = 0.0
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.process_time()
            read(document, Path(folder))
            best = max(best, len(document) / MEGABYTE / (time.process_time() - begun))
    return best


def peak_megabytes(versions: int, rows: int, lane: str) -> float:
    """Of the tap as a process, whose files nobody takes; it reads so many versions and rows."""
    shared = [
        n("version", id=str(2 + i), name=f"Plan {i}", type="PLANNING") for i in range(versions)
    ]
    folder = n("version", *shared, id="1", name=SHARED_FOLDER, type="VERSION_FOLDER")
    vendor = Adaptive(1)
    vendor.outputs["exportVersions"] = [n("versions", folder)]
    vendor.instead["exportData"] = [wide_answer(rows)] * versions
    with serve(vendor) as url, tempfile.TemporaryDirectory() as name:
        output = Path(name) / "output.jsonl"
        found = measure_processes(
            f"exportData, {versions} versions", versions * rows * len(MONTHS),
            {"tap": tap(Path(name), url, lane)}, folder=Path(name), write=output,
        )  # fmt: skip
        with output.open("rb") as lines:
            cells = sum(json.loads(line)["record"]["rows"] for line in lines if is_processed(line))
    if cells != found.rows:
        raise RuntimeError(f"{cells} cells came of {found.rows}.")
    return found.peak_megabytes["tap"]


def is_processed(line: bytes) -> bool:
    """Whether a line says how many rows a version had."""
    return line.startswith(b'{"type":"RECORD","stream":"processed"')


def tap(folder: Path, url: str, lane: str) -> list[str]:
    """Write settings and catalog, with only the reports selected; returns the command."""
    config = {
        "api_url": url, "login": LOGIN, "password": PASSWORD, "account_codes": ["4000"],
        "max_pending_files": 1000,
    }  # fmt: skip
    if lane == "parquet":
        storage = {"root": str(folder / "batches")}
        config["batch_config"] = {"encoding": {"format": "parquet"}, "storage": storage}
    catalog = TapAdaptive(config=config).catalog
    for name, entry in catalog.items():
        entry.metadata.root.selected = name in REPORTS
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "catalog.json").write_text(json.dumps(catalog.to_dict()))
    paths = [f"{folder}/config.json", "--catalog", f"{folder}/catalog.json"]
    return ["tap-adaptive", "--config", *paths]


if __name__ == "__main__":
    tree = success(etree.tostring(accounts(ACCOUNTS).xml(), encoding="unicode")).encode()
    print({"cells": measure(read_cells, wide_answer(ROWS)), "trees": measure(read_tree, tree)})
    for lane in ("parquet", "records"):
        for versions, rows in SIZES:
            peak = peak_megabytes(versions, rows, lane)
            print({"lane": lane, "versions": versions, "rows": rows, "peak_megabytes": peak})
