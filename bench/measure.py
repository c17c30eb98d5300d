"""Runs a pipe of processes and says how long it took, and how much memory and files it used."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05


@dataclass
class Measurement:
    """One way of moving rows: seconds of wall clock, peak resident megabytes by process.

    `peak_files` is how many batch files there were at once, where a tap hands some over.
    """

    name: str
    rows: int
    seconds: float
    peak_megabytes: dict[str, float] = field(default_factory=dict)
    peak_files: int | None = None

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


class Peaks(threading.Thread):
    """Samples the resident memory of processes, each with its children, until stopped.

    And the Parquet files in a folder.
    """

    def __init__(self, processes: dict[str, int], files: Path | None) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._files = files
        self._stopped = threading.Event()
        self._megabytes = dict.fromkeys(processes, 0.0)
        self.files = None if files is None else 0

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            for name, process in self._processes.items():
                self._megabytes[name] = max(self._megabytes[name], _resident(process))
            if self._files and self.files is not None:
                names = [name for _, _, found in os.walk(self._files) for name in found]
                self.files = max(self.files, sum(name.endswith(".parquet") for name in names))

    def stop(self) -> dict[str, float]:
        """End, and return the megabytes by process."""
        self._stopped.set()
        self.join()
        return {name: round(peak, 1) for name, peak in self._megabytes.items()}


def measure(  # noqa: PLR0913 - each is named by its caller
    name: str,
    rows: int,
    commands: dict[str, list[str]],
    *,
    folder: Path,
    read: Path | None = None,
    write: Path | None = None,
    also: dict[str, int] | None = None,
    batches: Path | None = None,
) -> Measurement:
    """Run commands joined by pipes and measure them.

    Args:
        name: what is measured.
        rows: how many rows are moved.
        commands: the commands of the pipe by the name of the process.
        folder: where each process's log goes.
        read: a file for the first process to read.
        write: a file for the last process to write.
        also: process numbers of servers whose memory is to be measured as well, by name.
        batches: the folder through which the first process hands batch files over.

    Raises:
        RuntimeError: a process failed; with the end of its log.
    """
    start = time.perf_counter()
    processes = _start(commands, folder, read, write)
    peaks = Peaks({n: process.pid for n, process in processes.items()} | (also or {}), batches)
    peaks.start()
    for part, process in processes.items():
        if process.wait() != 0:
            log = (folder / f"{part}.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{name}: {part} ended with {process.returncode}:\n{log}")
    seconds = time.perf_counter() - start
    megabytes = peaks.stop()
    return Measurement(name, rows, round(seconds, 2), megabytes, peaks.files)


def _start(
    commands: dict[str, list[str]], folder: Path, read: Path | None, write: Path | None
) -> dict[str, subprocess.Popen[bytes]]:
    processes: dict[str, subprocess.Popen[bytes]] = {}
    source = read.open("rb") if read else None
    last = list(commands)[-1]
    for part, command in commands.items():
        output = (write or Path(os.devnull)).open("wb")
        with (folder / f"{part}.log").open("wb") as log, output:
            process = subprocess.Popen(
                command,
                stdin=source or subprocess.DEVNULL,
                stdout=output if part == last else subprocess.PIPE,
                stderr=log,
            )
        if source:
            source.close()
        source = process.stdout  # type: ignore[assignment]  # bytes either way
        processes[part] = process
    return processes


def _resident(process: psutil.Process) -> float:
    """Megabytes of a process and its children; 0 once it has ended."""
    try:
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family) / 1e6
    except psutil.NoSuchProcess:
        return 0.0
