"""Killed or told to stop at any moment, the loader leaves the old table or the new, whole."""

from __future__ import annotations

import fcntl
import json
import random
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.process import wait_until
from snowflake_loader.testing import (
    Load,
    Messages,
    lines,
    record,
    schema,
    snapshot,
    start_command,
    state,
)

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from sandbox.testing import Warehouse

ROWS = 3000
SEEDS = [0, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 12))]
RUN_SECONDS = 2.5  # about as long as an undisturbed run takes


def start(warehouse: Warehouse, tmp_path: Path, **config: Any) -> subprocess.Popen[str]:
    return start_command({**warehouse.config, **config}, tmp_path)


def names(warehouse: Warehouse) -> dict[int, str]:
    rows = warehouse.query(f'SELECT ID, NAME FROM "{warehouse.schema}".ITEMS')
    assert len({row["ID"] for row in rows}) == len(rows)
    return {row["ID"]: row["NAME"] for row in rows}


def source(name: str) -> dict[int, str]:
    return {number: f"{name} {number}" for number in range(ROWS)}


def rows_of(name: str) -> list[dict[str, Any]]:
    return [{"id": key, "name": value} for key, value in source(name).items()]


def send_and_kill(
    process: subprocess.Popen[str], messages: Messages, after: float, warehouse: Warehouse
) -> None:
    """Send everything, and kill the process so many seconds after its start."""
    assert process.stdin
    deadline = time.monotonic() + after
    try:
        process.stdin.write(lines(messages))
        process.stdin.close()
    except BrokenPipeError:
        pass  # it was faster to end than we to write
    wait_until(lambda: time.monotonic() >= deadline, lambda: process.poll() is None)
    process.kill()
    process.wait()
    warehouse.wait_until_idle()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_overwrite_leaves_one_table_whole(
    warehouse: Warehouse, load: Load, tmp_path: Path, seed: int
) -> None:
    moment = random.Random(seed).uniform(0.8, RUN_SECONDS)  # noqa: S311 - a repeatable moment
    load(snapshot(1, *rows_of("old")), load_method="overwrite")

    process = start(warehouse, tmp_path, load_method="overwrite", commit_seconds=0)
    send_and_kill(process, snapshot(2, *rows_of("new")), moment, warehouse)

    assert names(warehouse) in (source("old"), source("new"))
    load(snapshot(3, *rows_of("new")), load_method="overwrite")
    assert names(warehouse) == source("new")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_upsert_equals_the_source_after_a_second_run(
    warehouse: Warehouse, load: Load, tmp_path: Path, seed: int
) -> None:
    moment = random.Random(seed).uniform(0.8, RUN_SECONDS)  # noqa: S311 - a repeatable moment
    load([schema(), *(record(**row) for row in rows_of("old"))])
    changed = [schema(), *(record(**row) for row in rows_of("new"))]

    send_and_kill(start(warehouse, tmp_path, commit_seconds=0), changed, moment, warehouse)
    load(changed)

    assert names(warehouse) == source("new")


def test_sigterm_commits_what_was_received_and_writes_its_state(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    process = start(warehouse, tmp_path)
    assert process.stdin
    process.stdin.write(lines([schema(), record(id=1, name="a"), state(items=1)]))
    process.stdin.flush()
    assert wait_until(lambda: received(process), lambda: process.poll() is None)

    process.send_signal(signal.SIGTERM)
    output, log = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM, log
    assert names(warehouse) == {1: "a"}
    assert json.loads(output) == {"bookmarks": {"items": 1}}


def test_sigterm_in_a_snapshot_keeps_the_old_table_and_the_new_rows_for_later(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    load(snapshot(1, {"id": 0, "name": "old"}), load_method="overwrite")
    process = start(warehouse, tmp_path, load_method="overwrite")
    assert process.stdin
    begun = [*snapshot(2, {"id": 1, "name": "a"}, whole=False), state(items=1)]
    process.stdin.write(lines(begun))
    process.stdin.flush()
    assert wait_until(lambda: received(process), lambda: process.poll() is None)

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)

    assert json.loads(output) == {"bookmarks": {"items": 1}}
    assert names(warehouse) == {0: "old"}
    load(snapshot(2, {"id": 2, "name": "b"}), load_method="overwrite")
    assert names(warehouse) == {1: "a", 2: "b"}


def test_files_that_a_killed_loader_left_are_removed_by_the_next(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    process = start(warehouse, tmp_path)
    assert wait_until(
        lambda: bool(list(tmp_path.glob("target-snowflake-*"))), lambda: process.poll() is None
    )
    process.kill()
    process.communicate()

    load([schema(), record(id=1, name="a")])

    assert list(tmp_path.glob("target-snowflake-*")) == []


def received(process: subprocess.Popen[str]) -> bool:
    """Whether the loader has read all that was written to it: its pipe is empty."""
    assert process.stdin
    unread = fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, b"\0" * 4)
    return bool(struct.unpack("i", unread)[0] == 0)


def test_rows_are_committed_in_time_though_the_tap_is_silent(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    process = start(warehouse, tmp_path, commit_seconds=0)
    assert process.stdin
    assert process.stdout
    process.stdin.write(lines([schema(), record(id=1, name="a"), state(items=1)]))
    process.stdin.flush()

    assert json.loads(process.stdout.readline()) == {"bookmarks": {"items": 1}}
    assert process.poll() is None
    process.communicate(timeout=60)
    assert names(warehouse) == {1: "a"}


def test_a_reader_of_states_that_has_gone_is_a_sentence(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    process = start(warehouse, tmp_path)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()

    process.stdin.write(lines([schema(), record(id=1, name="a"), state(items=1)]))
    process.stdin.close()

    assert "A state could not be written" in process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert names(warehouse) == {1: "a"}


def test_a_refused_login_is_noticed_though_the_tap_is_silent(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    process = start(warehouse, tmp_path, password="wrong")
    assert process.stdin
    process.stdin.write(lines([schema()]))
    process.stdin.flush()

    assert process.wait(timeout=60) == 1
