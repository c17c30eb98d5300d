"""Runs a pipe of processes and says how long it took and how much memory each one used."""

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
    """One way of moving rows: seconds of wall clock, peak resident megabytes by process."""

    name: str
    rows: int
    seconds: float
    peak_megabytes: dict[str, float] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


class PeakMemory(threading.Thread):
    """Samples the resident memory of processes, each with its children, until stopped."""

    def __init__(self, processes: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._stopped = threading.Event()
        self.peaks = dict.fromkeys(processes, 0.0)

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            for name, process in self._processes.items():
                self.peaks[name] = max(self.peaks[name], _resident(process))

    def stop(self) -> dict[str, float]:
        self._stopped.set()
        self.join()
        return {name: round(peak, 1) for name, peak in self.peaks.items()}


def measure(  # noqa: PLR0913 - each is named by its caller
    name: str,
    rows: int,
    commands: dict[str, list[str]],
    *,
    folder: Path,
    read: Path | None = None,
    write: Path | None = None,
    also: dict[str, int] | None = None,
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

    Raises:
        RuntimeError: a process failed; with the end of its log.
    """
    start = time.perf_counter()
    processes = _start(commands, folder, read, write)
    memory = PeakMemory({n: process.pid for n, process in processes.items()} | (also or {}))
    memory.start()
    for part, process in processes.items():
        if process.wait() != 0:
            log = (folder / f"{part}.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{name}: {part} ended with {process.returncode}:\n{log}")
    seconds = time.perf_counter() - start
    return Measurement(name, rows, round(seconds, 2), memory.stop())


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
