"""The report's page and document say what the table says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reliability import report
from reliability.matrix import Result

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_and_the_document_hold_every_kill(tmp_path: Path) -> None:
    whole = Result("pipeline (records)", "MERGE", struck=True)
    lossy = Result("pipeline (records)", "COPY", struck=True, lost=3)

    report.write([whole, lossy], tmp_path)

    page = (tmp_path / "kill-matrix.html").read_text()
    assert ">2</span> kills" in page
    assert ">3</span> rows lost" in page
    assert "MERGE" in page
    document = json.loads((tmp_path / "kill-matrix.json").read_text())
    assert [kill["lost"] for kill in document["kills"]] == [0, 3]
