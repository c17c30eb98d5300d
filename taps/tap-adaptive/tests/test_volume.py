"""Memory does not grow with the number or length of answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.process import wait_until
from sandbox.vendors.adaptive import csv_answer, success
from sandbox.vendors.adaptive_data import n
from tap_adaptive.answer import Answer, AnswerWriter
from tap_adaptive.rows import read_rows
from tap_adaptive.streams import Dimensions, Levels

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


def peak_kibibytes(process_id: int) -> int:
    """What a process has used at most; wait4() would count its parent's memory at the fork too."""
    with suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{process_id}/status").read_text()
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            return int(found[1])
    return 0


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

    peak = 0

    def has_ended() -> bool:
        nonlocal peak
        if process.poll() is None:
            peak = max(peak, peak_kibibytes(process.pid))
        return process.returncode is not None

    assert wait_until(has_ended, lambda: True, 120)
    assert process.returncode == 0, (tmp_path / "log").read_text()[-2000:]
    processed = [
        json.loads(line)["record"]["rows"]
        for line in (tmp_path / "out").read_bytes().splitlines()
        if b'"RECORD"' in line
    ]
    assert processed == [ROWS * 24] * VERSIONS
    assert 0 < peak * 1024 < 300 * MEGABYTE
