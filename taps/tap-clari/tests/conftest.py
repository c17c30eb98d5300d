"""A stand-in for Clari, the tap on it, and the loader behind it."""

from __future__ import annotations

import datetime as dt
import io
import json
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.clari import Clari
from sandbox.vendors.server import serve
from snowflake_loader.target import TargetSnowflake
from tap_clari.tap import TapClari
from tapsupport.errors import TapError
from tapsupport.testing import SyncResult, parse_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.testing import Warehouse

TODAY = dt.date(2025, 5, 15)


@dataclass(frozen=True)
class Run:
    """What one run of the tap wrote, line by line, and what it ended with."""

    lines: list[bytes]
    error: TapError | None

    @property
    def result(self) -> SyncResult:
        return parse_messages(b"".join(self.lines))


@dataclass(frozen=True)
class Source:
    """A served stand-in and the tap on it."""

    vendor: Clari
    url: str

    def config(self, **settings: Any) -> dict[str, Any]:
        return {
            "api_token": self.vendor.token,
            "api_url": f"{self.url}/v4",
            "forecast_ids": ["net_arr"],
            "time_periods": ["current"],
            "execution_date": str(self.vendor.today),
            "fiscal_year_start_month": 2,
            "poll_seconds": 0.001,
            **settings,
        }

    def run(
        self, state: dict[str, Any] | None = None, *, only: tuple[str, ...] = (), **settings: Any
    ) -> Run:
        """Run the tap, to its end or to an error; of all streams or `only` of some."""
        tap = TapClari(config=self.config(**settings), state=state)
        for name, stream in tap.streams.items():
            stream.selected = not only or name in only
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        error = None
        with redirect_stdout(output):
            try:
                tap.sync_all()
            except TapError as raised:
                error = raised
        return Run(output.buffer.getvalue().splitlines(keepends=True), error)

    def sync(self, state: dict[str, Any] | None = None, **settings: Any) -> SyncResult:
        """Run the tap, which must succeed."""
        run = self.run(state, **settings)
        if run.error:
            raise run.error
        return run.result

    @property
    def posts(self) -> int:
        """How many exports were asked for so far, in vain or not."""
        return len([request for request in self.vendor.requests if request.method == "POST"])


@contextmanager
def served() -> Iterator[Source]:
    vendor = Clari(size=12, today=TODAY)
    with serve(vendor) as url:
        yield Source(vendor, url)


@pytest.fixture
def source() -> Iterator[Source]:
    with served() as mine:
        yield mine


@pytest.fixture
def new_source() -> Callable[[], AbstractContextManager[Source]]:
    """Serve one more stand-in, for tests that need several."""
    return served


@pytest.fixture
def clari(source: Source) -> Clari:
    return source.vendor


@pytest.fixture
def load_into(warehouse: Warehouse) -> Callable[[list[bytes], list[Any]], None]:
    """Load the lines of a run with the real loader, and add to a list the states it wrote.

    They are there too when the loader failed.
    """

    def run(lines: list[bytes], states: list[Any]) -> None:
        target = TargetSnowflake(config=dict(warehouse.config))
        output = io.StringIO()
        try:
            with redirect_stdout(output):
                target.listen(io.StringIO(b"".join(lines).decode()))
        except BaseException:
            target.abandon()
            raise
        finally:
            states += map(json.loads, output.getvalue().splitlines())

    return run


@pytest.fixture
def load(load_into: Callable[[list[bytes], list[Any]], None]) -> Callable[[list[bytes]], list[Any]]:
    """Load the lines of a run with the real loader; returns the states it wrote."""

    def run(lines: list[bytes]) -> list[Any]:
        states: list[Any] = []
        load_into(lines, states)
        return states

    return run
