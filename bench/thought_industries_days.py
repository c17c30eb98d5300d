"""tap-thought-industries against a slow site: its time beside what the site itself takes.

90 days, 2,000 pages of 100 events; each answer takes 200 ms and three are given at once.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from sandbox.vendors.server import serve
from sandbox.vendors.thought_industries import KEY, ThoughtIndustries

PAGES, DAYS, ANSWER_SECONDS, AT_ONCE = 2000, 90, 0.2, 3


def measure() -> dict[str, float]:
    """Seconds of the tap as a process, how often it asked, and the share above the site's own."""
    site = ThoughtIndustries(PAGES * 100, DAYS, kinds=["courseAction"])
    site.answer_seconds, site.requests_at_once = ANSWER_SECONDS, AT_ONCE
    with serve(site) as url, tempfile.TemporaryDirectory() as folder:
        dates = {"start_date": "2026-01-01", "end_date": "2026-04-01"}
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"api_url": url, "api_key": KEY, **dates}))
        catalog = Path(folder) / "catalog.json"
        catalog.write_text(json.dumps(only("course_actions")))
        command = ["tap-thought-industries", "--config", str(config), "--catalog", str(catalog)]
        begun = time.perf_counter()
        output = Path(folder) / "output.jsonl"
        with output.open("wb") as written:  # not a pipe: this process has a site to serve
            subprocess.run(command, stdout=written, stderr=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - begun
        with output.open("rb") as lines:
            rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    if rows != PAGES * 100:
        raise RuntimeError(f"{rows} events came of {PAGES * 100}.")
    requests = len(site.requests)
    ideal = requests * ANSWER_SECONDS / AT_ONCE
    times = seconds / ideal
    return {"requests": requests, "seconds": seconds, "site_seconds": ideal, "times": times}


def only(stream: str) -> dict[str, object]:
    """A catalog that selects one stream."""
    discovered = subprocess.run(
        ["tap-thought-industries", "--discover"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    catalog = json.loads(discovered.stdout)
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = entry["tap_stream_id"] == stream
    return dict(catalog)


if __name__ == "__main__":
    print(measure())
