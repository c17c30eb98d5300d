"""tap-zuora-revenue against a slow tenant: its time beside what the tenant itself takes.

Twelve views, 5 million rows in all; each page takes 2 s, and five queries may run at once.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.vendors.server import serve
from sandbox.vendors.zuora_revenue import API, ZuoraRevenue
from sandbox.vendors.zuora_revenue_data import View

PAGE_ROWS, ROWS, PAGE_SECONDS, QUERIES = 20_000, 5_000_000, 2.0, 5
PERCENT = {
    "RC_SCHD": 24,
    "RI_ACCT_SUMM": 20,
    "RC_LNS": 16,
    "RC_BILL": 12,
    "RC_POB": 8,
    "RC_HEAD": 6,
    "MJE": 4,
    "RC_SCHD_DEL": 3,
    "RC_HOLD": 3,
    "APPR_DTL": 2,
    "ACCT_TYPE": 1,
    "CALENDAR": 1,
}


class ManyRows(Sequence[Any]):
    """The rows of one page again and again; memory holds them once."""

    def __init__(self, rows: Sequence[Any], count: int) -> None:
        self._rows, self._count = rows, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: Any) -> Any:  # noqa: ANN401 - a slice, as the stand-in asks for
        if part.start is None:
            return self
        return self._rows[: max(0, min(part.stop, self._count) - part.start)]


class LongView(View):
    """A view with `count` rows."""

    count = 0

    def between(self, _start: str, _end: str) -> ManyRows:
        return ManyRows(self.rows, self.count)


def tenant() -> ZuoraRevenue:
    """A stand-in with all those rows, which makes each page's text once."""
    vendor = ZuoraRevenue(PAGE_ROWS)
    vendor.page_seconds = PAGE_SECONDS
    model, plain, made = vendor.views["BI3_RC_LNS"], vendor.page_body, {}
    for name, percent in PERCENT.items():
        view = LongView(f"BI3_{name}", model.header, model.rows)
        view.count = ROWS * percent // 100
        vendor.views[view.name] = view

    def page_body(task: Any, number: int) -> bytes:  # noqa: ANN401 - the stand-in's own
        rows = len(task.page(number))
        if rows not in made:
            made[rows] = plain(task, number)
        return made[rows]

    vendor.page_body = page_body
    return vendor


def measure() -> dict[str, float]:
    """Seconds of the tap as a process, and of the tenant at its best."""
    vendor = tenant()
    pages = [-(-ROWS * percent // 100 // PAGE_ROWS) for percent in PERCENT.values()]
    own = max(sum(pages) / QUERIES, *pages) * PAGE_SECONDS
    with serve(vendor) as url, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        settings = {
            "api_url": url + API,
            "username": vendor.username,
            "password": vendor.password,
            "page_size": PAGE_ROWS,
            "max_pending_files": 1000,
            "batch_config": {"encoding": {"format": "parquet"}, "storage": {"root": folder}},
        }
        config.write_text(json.dumps(settings))
        begun = time.monotonic()
        command = ["tap-zuora-revenue", "--config", str(config)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - begun
    return {"seconds": seconds, "tenant_seconds": own, "times": seconds / own}


if __name__ == "__main__":
    print(measure())
