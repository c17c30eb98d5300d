"""Taps that ask one thing after the other, against stand-ins that take 200 ms for each answer.

The stand-in's own time is that of its answers; what is above it is the start of the process, the
reading of the answers and, for Clari, the pauses while an export is being made.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.vendors import clari, xactly, zengrc
from sandbox.vendors.server import serve

if TYPE_CHECKING:
    from sandbox.vendors.vendor import Vendor

ANSWER_SECONDS = 0.2
ALWAYS = 1_000_000


def measure(tap: str, vendor: Vendor, config: dict[str, Any], setting: str, path: str) -> str:
    """Run a tap as a process; requests, rows, seconds, and seconds against the vendor's own."""
    vendor.faults.add(times=ALWAYS, delay_seconds=ANSWER_SECONDS)
    with serve(vendor) as url, tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder) / "config.json", Path(folder) / "output.jsonl"
        file.write_text(json.dumps({**config, setting: f"{url}{path}"}))
        begun = time.perf_counter()
        with output.open("wb") as written:  # not a pipe: this process has a vendor to serve
            command = [tap, "--config", str(file)]
            subprocess.run(command, stdout=written, stderr=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - begun
        with output.open("rb") as lines:
            rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    own = len(vendor.requests) * ANSWER_SECONDS
    return (
        f"{tap}: {len(vendor.requests)} requests, {rows:,} rows, {seconds:.1f} s, "
        f"{seconds / own:.2f} times the {own:.1f} s of the answers"
    )


if __name__ == "__main__":
    forecasts = clari.Clari(4000)
    wanted = {"forecast_ids": list(forecasts.forecast_ids), "fiscal_year_start_month": 2}
    token = {"api_token": forecasts.token}
    print(measure("tap-clari", forecasts, {**token, **wanted}, "api_url", "/v4"))
    account = {"username": xactly.USERNAME, "password": xactly.PASSWORD}
    client = {"client_id": xactly.CLIENT_ID, "consumer": xactly.CONSUMER}
    print(measure("tap-xactly", xactly.Xactly(2000), {**account, **client}, "api_url", "/api"))
    account = {"username": zengrc.USERNAME, "password": zengrc.PASSWORD}
    print(measure("tap-zengrc", zengrc.ZenGRC(500), account, "base_url", "/api/v2"))
