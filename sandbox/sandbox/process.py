"""Background processes: start one, wait until it answers, stop it and its children."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from sandbox.settings import HOST, SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 15.0
PORT_SECONDS = 1.0
POLL_SECONDS = 0.05
LOG_LINES_SHOWN = 5


@dataclass(frozen=True)
class Daemon:
    """A background process known by its pid file.

    Attributes:
        name: What error messages call it.
        folder: Holds `<name>.pid` and `<name>.log`.
    """

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def process(self) -> psutil.Process | None:
        """The running process, or None.

        The pid file holds the start time too: after a reboot the pid may be someone else's.
        """
        if not self.pid_file.exists():
            return None
        pid, started = self.pid_file.read_text().split()
        try:
            process = psutil.Process(int(pid))
        except psutil.NoSuchProcess:
            return None
        is_ours = not _is_gone(process) and process.create_time() == float(started)
        return process if is_ours else None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `command` in a session of its own, so that Ctrl-C here leaves it running."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
        started = psutil.Process(child.pid).create_time()
        self.pid_file.write_text(f"{child.pid} {started!r}")

    def stop(self) -> bool:
        """End the process and wait until it is gone; say whether there was one."""
        process = self.process()
        if process:
            terminate(process)
        self.pid_file.unlink(missing_ok=True)
        return process is not None

    def last_words(self) -> str:
        """The end of the log, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " / ".join(line.strip() for line in lines[-LOG_LINES_SHOWN:] if line.strip())


def terminate(process: psutil.Process) -> None:
    """SIGTERM the process and its children, SIGKILL whatever is left, and wait for the end."""
    try:
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.NoSuchProcess:
        return
    if not wait_until(lambda: all(map(_is_gone, family)), lambda: True, STOP_SECONDS):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        wait_until(lambda: all(map(_is_gone, family)), lambda: True, STOP_SECONDS)


def wait_until(
    ready: Callable[[], bool], alive: Callable[[], bool], seconds: float = START_SECONDS
) -> bool:
    """Poll `ready` until it is true; give up when `alive` is not, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not alive() or time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def require_free_port(port: int, variable: str, service: str) -> None:
    """Refuse to start a service on a port that something else listens on.

    Raises:
        SandboxError: The port is taken; the text names the variable that changes it.
    """
    # A process that was just killed holds its port for a moment longer.
    if not wait_until(lambda: _is_free(port), alive=lambda: True, seconds=PORT_SECONDS):
        raise SandboxError(
            f"Cannot start {service}: port {port} on {HOST} is taken by another process;"
            f" stop that process or set {variable} to a free port."
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
