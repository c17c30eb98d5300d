"""Runs the kills one after the other on a sandbox, and judges what each left behind."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import psutil

from reliability import content, kills
from reliability.pipeline import NO_KILL, Kill, Outcome, Pipeline, environment
from reliability.states import FileStates, WarehouseStates
from reliability.targets import BIN, ROOT, Target
from snowflake_loader.names import STATES
from snowflake_loader.stored_states import STATES_COLUMNS, StoredStates
from snowflake_loader.tables import SchemaTables
from snowflake_loader.target import TargetSnowflake
from snowflake_loader.warehouse import connect

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from pathlib import Path

    from reliability.content import Content
    from sandbox.testing import Warehouse

MELTANO = "Meltano, any moment"
STATE_STORED = "Meltano, state stored"
LEASE_SECONDS = 1.0
BESIDE = {"lease_wait_seconds": 4}  # while the other run is frozen
NETWORK_SECONDS = 20
COMMIT_SECONDS = (0, 0, 300)  # at each state, or as by default: at the end and up to the last mark
RERUNS = 3  # at most; one is enough unless a fault strikes late


@dataclass(frozen=True)
class Reference:
    """What undisturbed runs of a target give."""

    content: Content
    volatile: dict[str, frozenset[str]]
    messages: int
    seconds: float

    def stable(self, found: Content) -> Content:
        """Content without the columns that differ from run to run."""
        return {
            name: table.without(self.volatile.get(name, frozenset()))
            for name, table in found.items()
        }


@dataclass(frozen=True)
class Result:
    """What one kill did.

    Attributes:
        struck: Whether something was killed: a run may end before its boundary comes.
        half: Tables that stood half-published after the kill.
        failure: Why the run after it did not end well, if so.
        tables: Those whose rows were lost or doubled.
    """

    target: str
    boundary: str
    struck: bool
    lost: int = 0
    doubled: int = 0
    half: int = 0
    failure: str | None = None
    tables: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.half or self.failure)


@dataclass
class Bench:
    """One sandbox on which pipelines are killed, one after the other.

    Attributes:
        warehouse: Its warehouse.
        variables: Where taps and Meltano find it.
        folder: For the files of cases.
        keeps_states_in_file: Whether states are kept in a file: a weaker promise.
        loader: The loader's command, if not the project's own.
        commit_seconds: The loader's setting, one of these for each kill.
        references: What undisturbed runs give, by the target's label; may be shared with others.
    """

    warehouse: Warehouse
    variables: Mapping[str, str]
    folder: Path
    keeps_states_in_file: bool = False
    loader: tuple[str, ...] | None = None
    commit_seconds: tuple[int, ...] = COMMIT_SECONDS
    references: dict[str, Reference] = field(default_factory=dict)
    _cases: int = field(default=0, init=False)

    def reference(self, target: Target, *, by_meltano: bool = False) -> Reference:
        """Run a target undisturbed, jobs twice, and note what it gives; Meltano selects streams."""
        label = f"{target.label}, by Meltano" if by_meltano else target.label
        if label not in self.references:
            run = self._undisturbed_meltano if by_meltano else self._undisturbed
            first, outcome = run(target)
            # The small tap's rows are always the same.
            second = run(target)[0] if target.job else first
            volatile = content.volatile(first, second)
            stable = {name: table.without(volatile[name]) for name, table in first.items()}
            self.references[label] = Reference(stable, volatile, outcome.messages, outcome.seconds)
        return self.references[label]

    def kill(self, target: Target, boundary: str, chance: random.Random) -> Result:
        """Kill a target once, run it again, and compare."""
        if boundary in {MELTANO, STATE_STORED}:
            return self._kill_meltano(target, boundary, chance)
        reference = self.reference(target)
        kill = kills.kill_at(boundary, chance, reference.messages, reference.seconds)
        with _Case(self, target, chance.choice(self.commit_seconds)) as case:
            case.load_prior()
            outcome = self._run_killed(case, kill)
            struck = _is_struck(kill, outcome)
            half = case.half_published() if target.is_one_snapshot else 0
            failure = case.run_again()
            if outcome.was_frozen and outcome.loader == 0 and case.is_loaded_beside:
                failure = f"A run that had lost its lease ended well:\n{outcome.log}"
            difference = case.difference(reference)
        return _result(target, boundary, difference, struck=struck, half=half, failure=failure)

    def _run_killed(self, case: _Case, kill: Kill) -> Outcome:
        pipeline = case.pipeline
        if kill.warehouse is None:
            return pipeline.run(kill, while_frozen=case.run_beside)
        self.warehouse.fault(**kill.warehouse)
        try:
            return pipeline.run(kill)
        finally:
            self.warehouse.clear_faults()

    def _undisturbed(self, target: Target) -> tuple[Content, Outcome]:
        with _Case(self, target) as case:
            if not target.goes_on:
                case.load_prior()
            outcome = case.pipeline.run(NO_KILL)
            if not outcome.is_whole:
                raise RuntimeError(f"{target.label} does not run undisturbed:\n{outcome.log}")
            return content.content(case.session, case.schema), outcome

    def _undisturbed_meltano(self, target: Target) -> tuple[Content, Outcome]:
        with _Case(self, target) as case:
            case.load_prior()
            begun = time.monotonic()
            if failure := case.run_meltano():
                raise RuntimeError(f"{target.label} does not run undisturbed:\n{failure}")
            outcome = Outcome(0, 0, time.monotonic() - begun, 0, "")
            return content.content(case.session, case.schema), outcome

    def _kill_meltano(self, target: Target, boundary: str, chance: random.Random) -> Result:
        reference = self.reference(target, by_meltano=True)
        with _Case(self, target) as case:
            case.load_prior()
            fault = {"TARGET_SNOWFLAKE_FAULT": f"state-stored:{chance.randint(1, 2)}"}
            at_point = boundary == STATE_STORED
            process = case.start_meltano(fault if at_point else {})
            try:
                process.wait(None if at_point else chance.uniform(0, reference.seconds))
            except subprocess.TimeoutExpired:
                process.kill()
            struck = process.wait() == -signal.SIGKILL
            _wait_for_orphans(case.schema)
            failure = case.run_meltano_again()
            difference = case.difference(reference)
        return _result(target, boundary, difference, struck=struck, failure=failure)

    def next_case(self) -> int:
        self._cases += 1
        return self._cases


class _Case:
    """One schema, one state, one folder; all removed at its end."""

    def __init__(self, bench: Bench, target: Target, commit_seconds: int = 0) -> None:
        self.bench = bench
        self.commit_seconds = commit_seconds
        self.target = target
        self.number = bench.next_case()
        self.schema = f"KILL_{self.number}"
        self.folder = bench.folder / str(self.number)
        self.before: content.Content = {}
        self.is_loaded_beside = False

    def __enter__(self) -> Self:
        config = {**self.bench.warehouse.config, "schema": self.schema}
        self.session = connect(TargetSnowflake.with_defaults(config), "kill matrix")
        tables = SchemaTables(self.session, "RAW", self.schema)
        tables.open()
        tables.ensure(STATES, STATES_COLUMNS, STATES)
        self.state_id = f"kill:{self.number}"
        self.pipeline = self._pipeline(self.target, self.state_id, self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self.bench.warehouse.wait_until_idle()
        self.session.execute(f"DROP SCHEMA RAW.{self.schema} CASCADE", "removing a case's schema")
        self.session.close()

    def _pipeline(self, target: Target, state_id: str, folder: Path) -> Pipeline:
        in_file = self.bench.keeps_states_in_file
        states = (
            FileStates(self.folder / f"{state_id.replace(':', '-')}.json")
            if in_file
            else WarehouseStates(StoredStates(f"RAW.{self.schema}", state_id), self.session)
        )
        loader_config = {
            **self.bench.warehouse.config,
            **target.loader_config,
            "schema": self.schema,
            "work_directory": str(folder / "work"),
            "commit_seconds": self.commit_seconds,
            "lease_seconds": LEASE_SECONDS,
            "network_timeout_seconds": NETWORK_SECONDS,
            "state_id": state_id,
            **({} if in_file else {"state_schema": self.schema}),
        }
        pipeline = Pipeline(
            target.tap,
            _tap_config(target, folder),
            loader_config,
            environment(self.bench.variables),
            folder,
            states,
            catalog=target.catalog,
        )
        if self.bench.loader:
            return replace(pipeline, loader=self.bench.loader)
        return pipeline

    def load_prior(self) -> None:
        """Load what the target finds, and note it."""
        if self.target.prior is None:
            return
        state_id = self.state_id if self.target.goes_on else f"prior:{self.number}"
        if failure := _run_whole(self._pipeline(self.target.prior, state_id, self.folder)):
            raise RuntimeError(f"{self.target.prior.label} does not run:\n{failure}")
        self.before = content.content(self.session, self.schema)

    def run_again(self) -> str | None:
        """Run until one run is whole; why none was, if so."""
        self.bench.warehouse.wait_until_idle()
        return _run_whole(self.pipeline)

    def run_beside(self) -> None:
        """Run the same pipeline once more while it is frozen, as a second pod of a job would.

        It cannot take the lease of a run that has only to commit.
        """
        beside = self._pipeline(self.target, self.state_id, self.folder / "beside")
        beside = replace(beside, loader_config={**beside.loader_config, **BESIDE})
        self.is_loaded_beside = beside.run(NO_KILL).is_whole

    def difference(self, reference: Reference) -> content.Difference:
        standing = content.content(self.session, self.schema)
        found, may_repeat = reference.stable(standing), self.target.may_repeat
        return content.difference(reference.content, found, standing, may_repeat=may_repeat)

    def half_published(self) -> int:
        self.bench.warehouse.wait_until_idle()
        after = self.bench.reference(self.target).content
        found = content.content(self.session, self.schema)
        return len(content.half_published(self.before, after, found))

    # With Meltano itself

    def start_meltano(self, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        schema = {"TARGET_SNOWFLAKE_SCHEMA": self.schema}
        schema["TARGET_SNOWFLAKE__ZENGRC_SCHEMA"] = self.schema
        schema["ZUORA_REVENUE_WATERFALL_SCHEMA"] = self.schema
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "meltano.log").open("wb") as log:
            return subprocess.Popen(
                # Meltano itself would wait five minutes for a run of its own that was killed.
                [str(BIN / "meltano"), "run", "--force", str(self.target.job)],
                cwd=ROOT,
                env={
                    **self.bench.variables,
                    **schema,
                    **variables,
                    "MELTANO_STATE_BACKEND_URI": f"target-snowflake://{self.schema}",
                    "MELTANO_RUN_STATE_ID_SUFFIX": self.schema,
                    "TARGET_SNOWFLAKE_LEASE_SECONDS": "3",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run_meltano(self) -> str | None:
        """Run it to its end; what it logged, if it failed."""
        if self.start_meltano({}).wait() == 0:
            return None
        return (self.folder / "meltano.log").read_text(errors="replace")

    def run_meltano_again(self) -> str | None:
        self.bench.warehouse.wait_until_idle()
        for _ in range(RERUNS):
            failure = self.run_meltano()
            if failure is None:
                break
        return failure


def _tap_config(target: Target, folder: Path) -> dict[str, Any]:
    """The tap's settings, with a folder of this run's own for its batch files."""
    config = dict(target.tap_config)
    root = folder / "batches"
    if "batch_config" in config:
        storage = {"root": root.as_uri()}
        config["batch_config"] = {**config["batch_config"], "storage": storage}
    if "batches" in config:
        config["batches"] = str(root)
    return config


def _run_whole(pipeline: Pipeline) -> str | None:
    for _ in range(RERUNS):
        outcome = pipeline.run(NO_KILL)
        if outcome.is_whole:
            return None
    return outcome.log


def _result(target: Target, boundary: str, difference: content.Difference, **what: Any) -> Result:
    lost, doubled, tables = difference.lost, difference.doubled, difference.tables
    return Result(target.label, boundary, lost=lost, doubled=doubled, tables=tables, **what)


def _is_struck(kill: Kill, outcome: Outcome) -> bool:
    if kill.freeze:
        return outcome.was_frozen
    killed = -signal.SIGKILL in {outcome.loader, outcome.tap}
    if kill.warehouse is None:
        return killed
    return outcome.loader != 0 or "answer to a commit was lost" in outcome.log


def _wait_for_orphans(schema: str) -> None:
    """Wait for what a killed Meltano left running: a tap and a loader that see their pipes end."""
    orphans = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MELTANO_RUN_STATE_ID_SUFFIX") == schema:
                orphans.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    psutil.wait_procs(orphans, timeout=120)
