"""singer-io's tap-zendesk and ours on the same account of the stand-in: keys, requests and time.

Theirs has no setting for the address, but puts `subdomain` into `https://{}.zendesk.com/...` as it
is. With `localhost:8443/tributary` there, the host is ours and the rest is the begin of a path.
So the stand-in is served with TLS here, and both taps trust its authority through the environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from measure import Measurement, measure
from rich.console import Console
from rich.table import Table

from sandbox.certificates import Authority
from sandbox.settings import free_port
from sandbox.vendors.vendor import with_transport
from sandbox.vendors.zendesk import Zendesk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

HERE = Path(__file__).parent
PEER = HERE.parent / ".venv-bench-zendesk/bin"
OURS = "tap-zendesk"
ACCOUNT = "tributary"
UNLIMITED = 10**6
ENTERPRISE = {"per_minute": 700, "exports": 10}
BY_TICKET = {"ticket_audits", "ticket_comments"}
KEYS = {"tags": "name"}
FRACTION = re.compile(rb"(start_time=\d+)\.0\b")


@dataclass
class TheirPaths:
    """The stand-in for both taps: below `/tributary.zendesk.com/` too.

    Theirs also sends `start_time` with a fraction, which the stand-in refuses.
    """

    zendesk: Zendesk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].replace(f"/{ACCOUNT}.zendesk.com/", f"/{ACCOUNT}/")
        query = FRACTION.sub(rb"\1", scope["query_string"])
        await self.zendesk({**scope, "path": path, "query_string": query}, receive, send)


@dataclass(frozen=True)
class Run:
    """What one tap did: its time, its requests, and the keys that it sent, by stream."""

    measured: Measurement
    requests: int
    refused: int
    keys: dict[str, list[Any]]


@dataclass
class Account:
    """An account that is served with TLS, and a folder for what the taps are told and send."""

    zendesk: Zendesk
    host: str
    folder: Path

    def ours(self, left_out: set[str]) -> Run:
        settings: dict[str, Any] = {
            "subdomain": ACCOUNT,
            "api_url": f"https://{self.host}/{{subdomain}}",
        }
        limits = self.zendesk.tenants[ACCOUNT].limits
        if limits.per_minute == UNLIMITED:
            settings |= {"rate_limit_share": 1.0, "export_requests_per_minute": UNLIMITED}
        found = _printed(
            OURS, "--config", self._file("discovery", {"subdomain": ACCOUNT}), "--discover"
        )
        return self._run(
            "ours",
            OURS,
            settings,
            found,
            {*left_out, "ticket_events", "ticket_custom_field_values"},
        )

    def theirs(self, left_out: set[str]) -> Run:
        found = _printed(str(PEER / "python"), str(HERE / "peers/zendesk_catalog.py"))
        settings = {"subdomain": f"{self.host}/{ACCOUNT}"}
        return self._run("singer-io", str(PEER / "tap-zendesk"), settings, found, left_out)

    def _run(
        self,
        name: str,
        tap: str,
        settings: dict[str, Any],
        catalog: dict[str, Any],
        left_out: set[str],
    ) -> Run:
        tenant = self.zendesk.tenants[ACCOUNT]
        token = tenant.access.issue("read", None, refreshable=False).access
        settings |= {"access_token": token, "start_date": "2025-01-01T00:00:00Z"}
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["tap_stream_id"] not in left_out
        command = [
            tap,
            "--config",
            self._file("config", settings),
            "--catalog",
            self._file("catalog", catalog),
        ]
        self.zendesk.requests.clear()
        refused, output = tenant.limits.refused, self.folder / "output"
        measured = measure(name, 1, {"tap": command}, folder=self.folder, write=output)
        return Run(
            measured, len(self.zendesk.requests), tenant.limits.refused - refused, _keys(output)
        )

    def _file(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@contextmanager
def account(tickets: int, per_minute: int, exports: int) -> Iterator[Account]:
    """Serve an account with TLS, to taps that are started meanwhile."""
    zendesk = Zendesk(tickets, per_minute, exports)
    with tempfile.TemporaryDirectory() as name:
        authority, port = Authority(Path(name) / "tls"), free_port()
        os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(authority.path)
        config = uvicorn.Config(
            with_transport(TheirPaths(zendesk)),
            port=port,
            log_level="error",
            lifespan="off",
            ssl_certfile=authority.issue(["localhost"]),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Account(zendesk, f"localhost:{port}", Path(name))
        finally:
            server.should_exit = True
            thread.join()


def _printed(*command: str) -> dict[str, Any]:
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    catalog: dict[str, Any] = json.loads(printed)
    return catalog


def _keys(output: Path) -> dict[str, list[Any]]:
    """The keys of all records that a tap sent."""
    found: dict[str, list[Any]] = {}
    with output.open("rb") as lines:
        for line in lines:
            if (message := json.loads(line))["type"] == "RECORD":
                stream = message["stream"]
                key = message["record"][KEYS.get(stream, "id")]
                found.setdefault(stream, []).append(key)
    return found


def differences(ours: Run, theirs: Run) -> list[str]:
    """In which streams one has keys that the other lacks, or has some twice."""
    lines = []
    for stream in sorted(ours.keys | theirs.keys):
        found = [set(run.keys.get(stream, ())) for run in (ours, theirs)]
        missing = [len(found[1] - found[0]), len(found[0] - found[1])]
        twice = [
            len(run.keys.get(stream, ())) - len(keys)
            for run, keys in zip((ours, theirs), found, strict=True)
        ]
        if any(missing) or any(twice):
            lines.append(
                f"{stream}: ours lacks {missing[0]} and has {twice[0]} twice; "
                f"theirs lacks {missing[1]} and has {twice[1]} twice"
            )
    return lines


def compare(console: Console, title: str, tickets: int, left_out: set[str], **limits: int) -> None:
    """Run both on one account and print what they did."""
    table = Table(
        "Tap", "seconds", "records", "requests", "refused with 429", "peak MB", title=title
    )
    with account(tickets, **limits) as served:
        runs = [served.ours(left_out), served.theirs(left_out)]
    for run in runs:
        shown = (
            run.measured.seconds,
            sum(map(len, run.keys.values())),
            run.requests,
            run.refused,
            run.measured.peak_megabytes["tap"],
        )
        table.add_row(run.measured.name, *(f"{value:,}" for value in shown))
    console.print(table)
    console.print("\n".join(differences(*runs)) or "The same keys in every stream, each once.")


if __name__ == "__main__":
    many, few = int(sys.argv[1]), int(sys.argv[2])
    out = Console()
    compare(
        out,
        f"{many:,} tickets without audits and comments, no limits",
        many,
        BY_TICKET,
        per_minute=UNLIMITED,
        exports=UNLIMITED,
    )
    compare(out, f"{few:,} tickets with all, at 700 requests a minute", few, set(), **ENTERPRISE)
