"""How fast an answer is read, and that memory does not grow with their number or length."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from sandbox.vendors.adaptive import csv_answer, success
from sandbox.vendors.adaptive_data import accounts, n
from tap_adaptive.answer import Answer, AnswerWriter
from tap_adaptive.cells import Cells
from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.report_request import ReportRequest
from tap_adaptive.rows import read_rows
from tap_adaptive.streams import Accounts, Dimensions, Levels

if TYPE_CHECKING:
    from conftest import Source

TAP = Path(sys.executable).parent / "tap-adaptive"
ROWS, VERSIONS = 2000, 40
MONTHS = [f"{month:02d}/{year}" for year in (2025, 2026) for month in range(1, 13)]
MEGABYTE = 1_000_000


def wide_answer(rows: int) -> bytes:
    """ExportData of so many rows and 24 months."""
    text = f"Account Name,Account Code,Level Code,Level Name,{','.join(MONTHS)}\n" + "".join(
        f'"Revenue & co","4000","{row}","Level {row}",'
        f"{','.join(f'{row * 1000 + month}.25' for month in range(24))}\n"
        for row in range(rows)
    )
    return csv_answer(text, rows).encode()


def receive(document: bytes, folder: Path) -> Answer:
    answer = Answer("exportData", folder / "answer.xml", folder / "output.txt")
    with AnswerWriter(answer) as writer:
        for start in range(0, len(document), 1 << 16):
            writer.feed(document[start : start + (1 << 16)])
        writer.close()
    return answer


def test_cells_are_read_at_20_megabytes_a_second(tmp_path: Path) -> None:
    """XML, CSV and the way from wide to long, in seconds of one core, all three together."""
    document = wide_answer(4 * ROWS)
    request = ReportRequest(("4000",), False, (), False, (), None, None, 0, "local")  # noqa: FBT003 - in the order of the fields
    started = time.process_time()

    output = CsvOutput(receive(document, tmp_path))
    output.check_row_count(4 * ROWS)
    cells = Cells(request, 1, "V")
    found = sum(batch.num_rows for batch in cells.batches(output.header, output.batches()))

    speed = len(document) / MEGABYTE / (time.process_time() - started)
    assert found == 4 * ROWS * 24
    assert speed > 20


def test_trees_are_parsed_at_20_megabytes_a_second(tmp_path: Path) -> None:
    """The fastest of three: other processes of this machine take caches away."""
    root = accounts(12_000).xml()
    document = success(etree.tostring(root, encoding="unicode")).encode()

    def parse() -> float:
        started = time.process_time()
        assert sum(1 for _ in read_rows(receive(document, tmp_path), Accounts.shape)) == 12_005
        return len(document) / MEGABYTE / (time.process_time() - started)

    assert max(parse() for _ in range(3)) > 20


def test_a_tree_of_any_size_is_never_whole_in_memory(tmp_path: Path) -> None:
    answer = receive(success(
        "<levels>" + '<level id="1" name="A"/>' * 50_000 + "</levels>"
    ).encode(), tmp_path)  # fmt: skip

    most = 0
    for count, row in enumerate(read_rows(answer, Levels.shape)):
        parent = row.element.getparent()
        assert parent is not None
        most = max(most, len(parent)) if count % 1000 == 0 else most

    assert most < 2000  # what one read of 32 kB brings


def test_what_belongs_to_another_stream_is_never_whole_in_memory(tmp_path: Path) -> None:
    """A dimension without its values stays small, however many the vendor sends with it."""
    values = '<dimensionValue id="1"/>' * 50_000
    document = success(f'<dimensions><dimension id="1">{values}</dimension></dimensions>')

    rows = read_rows(receive(document.encode(), tmp_path), Dimensions.shape)

    assert [len(row.element) for row in rows] == [0]


def test_40_versions_of_24_months_and_2000_rows_stay_below_300_megabytes(
    source: Source, tmp_path: Path
) -> None:
    """The tap as a process, into batch files that nobody takes."""
    folder = source.vendor.outputs["exportVersions"][0].children[1]
    folder.children[:] = [
        n("version", id=str(1000 + i), name=f"Plan {i}", type="PLANNING") for i in range(VERSIONS)
    ]
    source.vendor.instead["exportData"] = [wide_answer(ROWS)] * VERSIONS
    storage = {"root": str(tmp_path / "batches")}
    batch_config = {"encoding": {"format": "parquet"}, "storage": storage}
    config = source.config(batch_config=batch_config, max_pending_files=1000)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "catalog.json").write_text(json.dumps(source.catalog("reports", "processed")))
    process = subprocess.Popen(
        [TAP, "--config", tmp_path / "config.json", "--catalog", tmp_path / "catalog.json"],
        stdout=(tmp_path / "out").open("wb"), stderr=(tmp_path / "log").open("wb"),
    )  # fmt: skip

    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)

    assert process.returncode == 0, (tmp_path / "log").read_text()[-2000:]
    processed = [
        json.loads(line)["record"]["rows"]
        for line in (tmp_path / "out").read_bytes().splitlines()
        if b'"RECORD"' in line
    ]
    assert processed == [ROWS * 24] * VERSIONS
    assert used.ru_maxrss * 1024 < 300 * MEGABYTE, used.ru_maxrss
