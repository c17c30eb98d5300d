"""`python -m reliability`: the kill matrix."""

from __future__ import annotations

import enum
import itertools
import os
import queue
import random
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from reliability import kills, report
from reliability.matrix import MELTANO, STATE_STORED, Bench, Result
from reliability.targets import (
    Target,
    catalog_targets,
    job_targets,
    sandbox_variables,
    small_targets,
)
from sandbox import services
from sandbox.settings import Settings, free_port
from sandbox.testing import Warehouse
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

console = Console(width=None if sys.stdout.isatty() else report.WIDTH)


class Promise(enum.StrEnum):
    """Where the state is kept, and so what a crash may do."""

    WHOLE = "whole"
    FILE = "file"
    SPLIT = "split"
    TORN = "torn"
    CUT = "cut"


PROMISES = (
    "whole: the state commits with the rows. file: it is written some time after. Three loaders "
    "are broken on purpose; split: the state is stored before the rows. torn: old rows go before "
    "new ones come. cut: a version that goes on is taken for one that is loaded."
)
MELTANO_EVERY = 20  # one case of so many is run by Meltano itself
SMALL_SHARE = 0.5  # of the cases are the small tap's
ATTEMPTS = 3  # cases for each kill asked for: some runs end before their boundary


def main(
    *,
    kills: Annotated[int, typer.Option(help="How many kills.")] = 500,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 1,
    promise: Annotated[Promise, typer.Option(help=PROMISES)] = Promise.WHOLE,
    only: Annotated[str, typer.Option(help="Only pipelines with this in their name.")] = "",
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("output"),
) -> None:
    """Kill pipelines at every boundary and compare what is left; 1 at the first lost row."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="kill-matrix-") as folder, ExitStack() as stack:
        benches = [
            _bench(Path(folder) / str(number), stack, promise)
            for number in range(min(os.cpu_count() or 1, 2))
        ]
        try:
            _run(benches, _targets(benches[0].variables, only), kills, seed, results)
        finally:
            report.write(results, output)
            report.show(results, console)
    for result in results:
        if not result.is_good:
            console.print(f"{result.target}, {result.boundary}: {result}", markup=False)
    missing = kills - sum(result.struck for result in results)
    if missing > 0:
        console.print(f"{missing} of the {kills} kills that were asked for did not strike.")
    raise typer.Exit(missing > 0 or any(not result.is_good for result in results))


def _bench(folder: Path, stack: ExitStack, promise: Promise) -> Bench:
    """Start a sandbox of the matrix's own."""
    ports = {name: free_port() for name in ("warehouse", "postgres", "vendors")}
    settings = Settings(
        folder / "sandbox",
        ports["warehouse"],
        ports["postgres"],
        ports["vendors"],
        idle_transaction_seconds=2,
        rows=400,
    )
    for service in services.all_services(settings):
        stack.callback(service.server.stop)
        service.up()
    variables = sandbox_variables(ports, folder)
    warehouse_service = WarehouseService(settings)
    is_broken = promise in {Promise.SPLIT, Promise.TORN, Promise.CUT}
    loader = (sys.executable, "-m", f"reliability.{promise}_loader") if is_broken else None
    warehouse = Warehouse({**warehouse_service.config, "schema": "KILLS"}, warehouse_service)
    return Bench(warehouse, variables, folder / "cases", promise is Promise.FILE, loader)


def _targets(variables: Mapping[str, str], only: str) -> list[Target]:
    found = small_targets() + catalog_targets(variables) + job_targets(variables)
    chosen = [target for target in found if only in target.label]
    if not chosen:
        raise typer.BadParameter(f"No pipeline has {only!r} in its name.", param_hint="--only")
    return chosen


def _run(
    benches: list[Bench], targets: list[Target], wanted: int, seed: int, results: list[Result]
) -> None:
    """Kill until so many kills have struck, one has done harm, or Ctrl-C."""
    lock, stop = threading.Lock(), threading.Event()
    with Progress(console=console, transient=True) as progress:
        _take_references(benches, targets, progress)
        task = progress.add_task("kills", total=wanted)
        # The cases at work end, and are reported.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

        plan = _plan(benches[0], targets, seed)

        def work(bench: Bench) -> None:
            try:
                kill_on(bench)
            finally:  # also when the harness itself fails: then the others end too
                stop.set()

        def kill_on(bench: Bench) -> None:
            while True:
                with lock:
                    struck = sum(result.struck for result in results)
                    if stop.is_set() or struck >= wanted or len(results) > wanted * ATTEMPTS:
                        return
                    target, boundary, chance = next(plan)
                result = bench.kill(target, boundary, chance)
                with lock:
                    results.append(result)
                    progress.update(task, completed=sum(result.struck for result in results))
                    if not result.is_good:
                        stop.set()

        with ThreadPoolExecutor(len(benches)) as executor:
            list(executor.map(work, benches))


def _take_references(benches: list[Bench], targets: list[Target], progress: Progress) -> None:
    """Run every target undisturbed, each on one of the sandboxes: they hold the same data."""
    task = progress.add_task("undisturbed runs", total=len(targets))
    free = queue.SimpleQueue[Bench]()
    for bench in benches:
        bench.references = benches[0].references
        free.put(bench)

    def work(target: Target) -> None:
        bench = free.get()
        bench.reference(target)
        free.put(bench)
        progress.advance(task)

    with ThreadPoolExecutor(len(benches)) as executor:
        list(executor.map(work, targets))


def _plan(
    bench: Bench, targets: list[Target], seed: int
) -> Iterator[tuple[Target, str, random.Random]]:
    """Every target at every boundary, in an order drawn by lot: quick ones more often first."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    by_meltano = [target for target in targets if target.job and target.prior is None]
    small = [target for target in targets if target.is_small]
    others = [target for target in targets if not target.is_small]
    small_cells, other_cells = _cells(small, bench, chance), _cells(others, bench, chance)
    for count in itertools.count(1):
        where = random.Random(chance.random())  # noqa: S311 - in the run; of this case alone
        if by_meltano and count % MELTANO_EVERY == 0:
            yield chance.choice(by_meltano), chance.choice([MELTANO, STATE_STORED]), where
        else:
            is_small = not others or (bool(small) and chance.random() < SMALL_SHARE)
            yield *next(small_cells if is_small else other_cells), where


def _cells(
    targets: list[Target], bench: Bench, chance: random.Random
) -> Iterator[tuple[Target, str]]:
    """Every target with every boundary, and then again; a quick one comes early more often."""
    cells = list(itertools.product(targets, kills.boundaries()))
    while True:
        chance.shuffle(cells)
        drawn = [
            (chance.expovariate(1) * bench.reference(target).seconds, number)
            for number, (target, _) in enumerate(cells)
        ]
        yield from (cells[number] for _, number in sorted(drawn))


if __name__ == "__main__":
    typer.run(main)
