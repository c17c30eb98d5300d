"""One run at a time loads a state; who lost the lease commits nothing more."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.process import wait_until
from snowflake_loader.errors import LeaseError, LoadError
from snowflake_loader.stored_states import STARTED_FROM, marked, marker_of
from snowflake_loader.testing import Load, Messages, lines, record, schema, start_command, state

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.testing import Warehouse

RUN = {"state_id": "dev:a-to-b", "load_method": "append-only", "commit_seconds": 0}


@pytest.fixture
def start(warehouse: Warehouse, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a loader that holds the lease and has committed row 1."""
    processes = []

    def run(**config: Any) -> subprocess.Popen[str]:
        process = start_command({**warehouse.config, **RUN, **config}, tmp_path)
        processes.append(process)
        send(process, [schema(keys=[]), record(id=1, name="a"), state(items=1)])
        assert process.stdout
        assert json.loads(process.stdout.readline())["bookmarks"]["items"] == 1
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def send(process: subprocess.Popen[str], messages: Messages) -> None:
    assert process.stdin
    process.stdin.write(lines(messages))
    process.stdin.flush()


def more(number: int) -> Messages:
    return [record(id=number, name="a"), state(items=number)]


def ids(warehouse: Warehouse) -> list[int]:
    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS ORDER BY ID')
    return [int(row["ID"]) for row in rows]


def test_a_second_run_leaves_with_a_sentence(
    warehouse: Warehouse, load: Load, start: Callable[..., subprocess.Popen[str]]
) -> None:
    first = start(run_id="first")

    with pytest.raises(LeaseError, match=r"Another run is loading dev:a-to-b: run first on "):
        load([schema(keys=[]), *more(2)], lease_wait_seconds=0, **RUN)

    _, log = first.communicate(timeout=60)
    assert first.returncode == 0, log
    assert ids(warehouse) == [1]


def test_a_second_run_waits_for_the_first(
    warehouse: Warehouse, load: Load, start: Callable[..., subprocess.Popen[str]]
) -> None:
    first = start()
    assert first.stdin
    first.stdin.close()

    load([schema(keys=[]), *more(2)], lease_wait_seconds=60, **RUN)

    assert ids(warehouse) == [1, 2]


def test_a_run_that_waits_heeds_sigterm(
    warehouse: Warehouse, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    start()
    waiting = {**warehouse.config, **RUN, "lease_wait_seconds": 600}
    second = start_command(waiting, tmp_path)
    send(second, [schema(keys=[]), record(id=2, name="a")])
    owner = f"(process {second.pid})"
    assert wait_until(
        lambda: any(owner in str(s["sql"]) for s in warehouse.statements()),
        lambda: second.poll() is None,
    )

    second.send_signal(signal.SIGTERM)
    _, log = second.communicate(timeout=60)

    assert second.returncode == 1, log
    assert "Another run is loading dev:a-to-b" in log


def test_a_killed_runs_lease_ends_by_itself(
    warehouse: Warehouse, load: Load, start: Callable[..., subprocess.Popen[str]]
) -> None:
    start(lease_seconds=1).kill()

    load([schema(keys=[]), *more(2)], lease_wait_seconds=30, **RUN)

    assert ids(warehouse) == [1, 2]


def test_another_state_is_not_held_up(
    warehouse: Warehouse, load: Load, start: Callable[..., subprocess.Popen[str]]
) -> None:
    start()

    load([schema(keys=[]), *more(2)], lease_wait_seconds=0, **RUN | {"state_id": "dev:a-to-b:x"})

    assert ids(warehouse) == [1, 2]


def test_a_run_that_slept_through_its_lease_commits_nothing_more(
    warehouse: Warehouse, load: Load, start: Callable[..., subprocess.Popen[str]]
) -> None:
    asleep = start(lease_seconds=1)
    os.kill(asleep.pid, signal.SIGSTOP)

    load([schema(keys=[]), *more(2)], lease_wait_seconds=30, **RUN)
    os.kill(asleep.pid, signal.SIGCONT)
    send(asleep, more(3))
    output, log = asleep.communicate(timeout=60)

    assert asleep.returncode == 1
    assert "Another run has taken the lease of dev:a-to-b" in log
    assert output == ""
    assert ids(warehouse) == [1, 2]


def test_a_run_that_began_with_an_old_state_appends_nothing(
    warehouse: Warehouse, load: Load
) -> None:
    kept = RUN | {"state_schema": warehouse.schema}
    (first,) = load([schema(keys=[]), *more(1)], **kept)
    old: dict[str, Any] = marked(first, **{STARTED_FROM: marker_of(first, "sequence")})
    load([schema(keys=[]), *more(2)], **kept)

    with pytest.raises(LoadError, match="read its state while another was still loading"):
        load(
            [schema(keys=[]), record(id=2, name="a"), {"type": "STATE", "value": echo(old, 2)}],
            **kept,
        )

    assert ids(warehouse) == [1, 2]


def test_states_are_stored_with_their_rows_and_numbered_up(
    warehouse: Warehouse, load: Load
) -> None:
    kept = RUN | {"state_schema": warehouse.schema}
    (first,) = load([schema(keys=[]), *more(1)], **kept)
    (second,) = load([schema(keys=[]), *more(2)], **kept)

    assert marker_of(first, "sequence") < marker_of(second, "sequence")  # type: ignore[operator]
    assert latest(warehouse) == {"bookmarks": {"items": 2}}


def test_a_state_larger_than_a_statement_may_be(warehouse: Warehouse, load: Load) -> None:
    large = "é'\\" * 700_000

    load(
        [schema(keys=[]), record(id=1, name="a"), state(items=large)],
        **RUN | {"state_schema": warehouse.schema},
    )

    assert latest(warehouse) == {"bookmarks": {"items": large}}


def test_a_commit_whose_answer_was_lost_is_not_applied_again(
    warehouse: Warehouse, load: Load
) -> None:
    load([schema(keys=[]), *more(1)], **RUN)
    warehouse.fault(cut_after="COMMIT", times=1)

    load([schema(keys=[]), *more(2)], **{k: v for k, v in RUN.items() if k != "state_id"})

    assert ids(warehouse) == [1, 2]


def test_a_commit_that_did_not_happen_fails_the_run(warehouse: Warehouse, load: Load) -> None:
    load([schema(keys=[]), *more(1)], **RUN)
    warehouse.fault(cut_before="COMMIT", times=1)

    with pytest.raises(LoadError, match="committing"):
        load([schema(keys=[]), *more(2)], **{k: v for k, v in RUN.items() if k != "state_id"})

    assert ids(warehouse) == [1]


def test_leases_leave_no_trace(warehouse: Warehouse, load: Load) -> None:
    load([schema(keys=[]), *more(1)], **RUN)

    assert warehouse.query(f'SELECT * FROM "{warehouse.schema}"._LEASES') == []


def echo(value: dict[str, Any], items: int) -> dict[str, Any]:
    """The state that a tap sends when it started from this one."""
    return value | {"bookmarks": value["bookmarks"] | {"items": items}}


def latest(warehouse: Warehouse) -> Any:
    rows = warehouse.query(
        f'SELECT SEQUENCE, PART, STATE FROM "{warehouse.schema}"._STATES ORDER BY 1 DESC, 2'
    )
    newest = [row["STATE"] for row in rows if row["SEQUENCE"] == rows[0]["SEQUENCE"]]
    return json.loads("".join(newest))
