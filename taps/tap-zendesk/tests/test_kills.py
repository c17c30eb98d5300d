"""The real tap into the real loader, ended from outside: what is read again, what the tables hold.

The points at which it ends are drawn by a seed and counted in requests that reach the stand-in, so
that they lie between two pages, among the audits of one, and within an answer alike.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.server import serve
from sandbox.vendors.zendesk import Zendesk
from tapsupport.process import SIGNAL_EXIT_BASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Message, Receive, Scope, Send

    from conftest import Source
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent
TICKETS, PAGE_SIZE = 24, 10
STREAMS = ("tickets", "ticket_audits", "ticket_comments", "ticket_metrics", "users")
REQUESTS = 1 + 3 + TICKETS + 2  # of an undisturbed run: a token, tickets, their audits, users
UNLIMITED = 10**6
PARALLEL = 4
ENDED_BY = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: SIGNAL_EXIT_BASE + signal.SIGTERM}
Page = tuple[str, tuple[int, ...]]


@dataclass
class Watched:
    """The stand-in, behind something that ends the tap at a request and keeps what was given out.

    Attributes:
        end: Ends the tap; called when `requests_left` have arrived.
        answered: Whether that last request is answered before.
        runs: For each run the pages of its exports by cursor: what they hold, and whose ids.
    """

    zendesk: Zendesk
    end: Callable[[], None] = lambda: None
    requests_left: int = -1
    answered: bool = False
    runs: list[list[Page]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests_left -= 1
        last, body = self.requests_left == 0, bytearray()

        async def keep(message: Message) -> None:
            body.extend(message.get("body", b""))
            await send(message)

        if last and not self.answered:
            self.end()
        await self.zendesk(scope, receive, keep)
        if last and self.answered:
            self.end()
        if scope["path"].endswith("/cursor.json"):
            kind = scope["path"].split("/")[-2]
            ids = tuple(record["id"] for record in json.loads(body)[kind])
            self.runs[-1] += [(kind, ids)] if ids else []

    def read_again(self) -> int:
        """How many pages of the last run an earlier one had been given already."""
        earlier = {page for run in self.runs[:-1] for page in run}
        return sum(page in earlier for page in self.runs[-1])


@dataclass
class Pipeline:
    """Runs of tap into loader, each taking up the last state that was out, as Meltano does."""

    watched: Watched
    source: Source
    warehouse: Warehouse
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def run(
        self,
        at: int = -1,
        by: signal.Signals = signal.SIGKILL,
        *,
        answered: bool = False,
        loader_too: bool = False,
    ) -> int:
        """Run, ending the tap by a signal when request `at` arrives; the tap's exit code."""
        settings = {"page_size": PAGE_SIZE, "max_parallel": PARALLEL, "rate_limit_share": 1.0}
        tap_command = self._command("tap-zendesk", self.source.config(**settings))
        tap_command += ["--catalog", self._file("catalog", self.source.catalog(*STREAMS))]
        tap_command += ["--state", self._file("state", self.state)]
        loader_command = self._command("tributary-target-snowflake", self.warehouse.config)
        states, logs = self.folder / "states.jsonl", self.folder / "log"
        self.watched.runs.append([])
        with states.open("wb") as out, logs.open("wb") as log:
            loader = subprocess.Popen(loader_command, stdin=subprocess.PIPE, stdout=out, stderr=log)

            def end() -> None:
                tap.send_signal(by)
                if loader_too:
                    loader.send_signal(by)

            self.watched.end = end
            self.watched.answered, self.watched.requests_left = answered, at
            tap = subprocess.Popen(tap_command, stdout=loader.stdin, stderr=log)
            loader.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            code = tap.wait(120)
            loader_code = loader.wait(120)
        assert loader_code == 0 or at > 0, logs.read_text()[-2000:]
        if lines := states.read_text().splitlines():
            self.state = json.loads(lines[-1])
        return code

    def check(self) -> None:
        """Every row stands once in its table, as the account has it."""
        account = self.source.tenant.account
        numbers = account.ticket_ids
        audits = [audit for number in numbers for audit in account.audits(number)]
        said = [e for audit in audits for e in audit["events"] if e["type"] == "Comment"]
        assert self._ids("tickets") == numbers
        assert self._ids("users") == sorted(account.users)
        assert self._ids("ticket_metrics") == [50_000_000 + number for number in numbers]
        assert self._ids("ticket_audits") == sorted(audit["id"] for audit in audits)
        assert self._ids("ticket_comments") == sorted(event["id"] for event in said)

    def _ids(self, table: str) -> list[int]:
        rows = self.warehouse.query(f"SELECT id FROM {self.warehouse.schema}.{table} ORDER BY id")
        return [row["ID"] for row in rows]

    def _command(self, name: str, config: dict[str, Any]) -> list[str]:
        return [str(BIN / name), "--config", self._file(name, config)]

    def _file(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@pytest.fixture
def pipeline(
    make_source: Callable[[Zendesk, str], Source], warehouse: Warehouse, tmp_path: Path
) -> Iterator[Pipeline]:
    watched = Watched(Zendesk(TICKETS, UNLIMITED, UNLIMITED))
    with serve(watched) as url:
        yield Pipeline(watched, make_source(watched.zendesk, url), warehouse, tmp_path)


def draw(seed: int, kills: int) -> Iterator[tuple[int, bool]]:
    """The requests at which runs end, and whether those are answered."""
    randoms = random.Random(seed)  # noqa: S311 - nothing secret
    for _ in range(kills):
        yield randoms.randint(1, REQUESTS), randoms.random() < 0.5


@pytest.mark.parametrize(
    ("seed", "ends"),
    [(7, 2), *(pytest.param(seed, 8, marks=pytest.mark.slow) for seed in range(4))],
)
def test_a_process_that_is_ended_costs_at_most_one_page(
    pipeline: Pipeline, seed: int, ends: int
) -> None:
    """By SIGKILL and by SIGTERM in turn; the latter finishes what is under way and says so."""
    for number, (at, answered) in enumerate(draw(seed, ends)):
        by = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        code = pipeline.run(at, by, answered=answered)

        left = pipeline.watched.requests_left
        assert code == ENDED_BY[by] or (code == 0 and left >= 0)  # it may end before, or there
        assert left >= -PARALLEL
        assert pipeline.watched.read_again() <= 1

    assert pipeline.run() == 0

    assert pipeline.watched.read_again() <= 1
    pipeline.check()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_doubled_when_the_loader_dies_too(pipeline: Pipeline, seed: int) -> None:
    """As when a node goes: then the last commit counts, whose time is a setting of the loader."""
    for at, answered in draw(seed, 6):
        pipeline.run(at, answered=answered, loader_too=True)
        pipeline.warehouse.wait_until_idle()

    assert pipeline.run() == 0
    pipeline.check()
