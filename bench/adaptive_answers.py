"""How many megabytes of an Adaptive answer a second of one core reads: cells, and trees."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from sandbox.vendors.adaptive import csv_answer, success
from sandbox.vendors.adaptive_data import accounts
from tap_adaptive.answer import Answer, AnswerWriter
from tap_adaptive.cells import Cells
from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.report_request import ReportRequest
from tap_adaptive.rows import read_rows
from tap_adaptive.streams import Accounts

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, ACCOUNTS, TIMES = 8000, 12_000, 3
MONTHS = [f"{month:02d}/{year}" for year in (2025, 2026) for month in range(1, 13)]
MEGABYTE = 1_000_000


def wide_answer() -> bytes:
    """ExportData of so many rows and 24 months."""
    text = f"Account Name,Account Code,Level Code,Level Name,{','.join(MONTHS)}\n" + "".join(
        f'"Revenue & co","4000","{row}","Level {row}",'
        f"{','.join(f'{row * 1000 + month}.25' for month in range(len(MONTHS)))}\n"
        for row in range(ROWS)
    )
    return csv_answer(text, ROWS).encode()


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


if __name__ == "__main__":
    tree = success(etree.tostring(accounts(ACCOUNTS).xml(), encoding="unicode")).encode()
    print({"cells": measure(read_cells, wide_answer()), "trees": measure(read_tree, tree)})
