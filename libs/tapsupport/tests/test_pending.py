"""A run's directory: names, waiting for the loader, and what crashed runs leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapsupport.pending import KEEP_SECONDS, RunDirectory, remove_leftovers

if TYPE_CHECKING:
    from pathlib import Path

LEFT_BEHIND = """
import pathlib, sys
from tapsupport.pending import RunDirectory
RunDirectory(pathlib.Path(sys.argv[1]), "tap-x", 4).new_file("s", print).touch()
"""
ORPHANED = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {LEFT_BEHIND!r}, sys.argv[1]], check=True)
"""
WAITING = """
import pathlib, sys
from tapsupport.pending import RunDirectory
directory = RunDirectory(pathlib.Path(sys.argv[1]), "tap-x", 1)
path = directory.new_file("s", print)
path.touch()
directory.hand_over(path)
print("waiting", flush=True)
try:
    directory.new_file("s", lambda: None)
except ReaderGoneError as error:
    sys.exit(str(error))
"""


def run(script: str, root: Path) -> None:
    subprocess.run([sys.executable, "-c", script, str(root)], check=True)


def never() -> None:
    raise AssertionError("It waited although there was room.")


def test_names_never_collide(tmp_path: Path) -> None:
    """Two runs at the same moment, and streams with awkward names."""
    first, second = (RunDirectory(tmp_path, "tap-x", 4) for _ in range(2))

    made = [run.new_file(name, never).name for run in (first, second) for name in ("a/b c",) * 2]

    assert len(set(made)) == 4
    assert all("/" not in name and " " not in name for name in made)


def test_a_run_that_ends_leaves_no_file_open(tmp_path: Path) -> None:
    """Python would warn of it, and Meltano shows that to everybody."""
    kept = f"{LEFT_BEHIND}kept = RunDirectory(pathlib.Path(sys.argv[1]), 'tap-y', 4)"
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", kept, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stderr == ""


def test_waits_until_the_loader_takes_a_file(tmp_path: Path) -> None:
    """Files being written count as well as those the loader was told of."""
    directory = RunDirectory(tmp_path, "tap-x", 2)
    told, _being_written = (directory.new_file("s", never) for _ in range(2))
    told.touch()
    directory.hand_over(told)
    asked = []

    def loader() -> None:
        asked.append(told.exists())
        told.unlink()

    directory.new_file("s", loader)

    assert asked == [True]


def test_a_file_given_up_makes_room(tmp_path: Path) -> None:
    """Whether it was made or not."""
    directory = RunDirectory(tmp_path, "tap-x", 2)
    made, not_made = (directory.new_file("s", never) for _ in range(2))
    made.touch()

    directory.give_up([made, not_made])

    assert not made.exists()
    assert directory.new_file("s", never) != directory.new_file("s", never)


def test_waiting_can_be_stopped(tmp_path: Path) -> None:
    """By the signal that the tap was sent."""
    directory = RunDirectory(tmp_path, "tap-x", 1)
    directory.new_file("s", never)

    def stop() -> None:
        raise SystemExit(signal.SIGTERM)

    with pytest.raises(SystemExit):
        directory.new_file("s", stop)


def test_a_reader_that_closed_the_pipe_ends_the_wait(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()

    assert b"is of no use: it has ended" in process.stderr.read()
    assert process.wait(20) == 1


def test_files_of_a_crashed_run_are_removed(tmp_path: Path) -> None:
    """Once neither the tap nor its parent lives."""
    run(ORPHANED, tmp_path)
    (left,) = tmp_path.iterdir()

    remove_leftovers(tmp_path, "tap-x")

    assert not left.exists()


def test_files_that_a_loader_may_still_read_are_kept(tmp_path: Path) -> None:
    """The tap has ended, its parent (this test) has not; after a day they go all the same."""
    run(LEFT_BEHIND, tmp_path)
    (left,) = tmp_path.iterdir()

    remove_leftovers(tmp_path, "tap-x")
    assert left.exists()
    old = (left / ".lock").stat().st_mtime - KEEP_SECONDS - 1
    os.utime(left / ".lock", (old, old))
    remove_leftovers(tmp_path, "tap-x")

    assert not left.exists()


def test_a_living_tap_is_left_alone(tmp_path: Path) -> None:
    """However old its directory is, and even while it is empty; other taps' are not looked at."""
    mine, other = RunDirectory(tmp_path, "tap-x", 4), RunDirectory(tmp_path, "tap-y", 4)
    os.utime(mine.path / ".lock", (0, 0))

    remove_leftovers(tmp_path, "tap-x")

    assert mine.path.exists()
    assert other.path.exists()
