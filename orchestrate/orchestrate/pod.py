"""What a pod runs: `meltano schedule run`, with signals handed on and failures told.

Kubernetes sends SIGTERM to the pod's first process alone, and `meltano schedule run`, which only
waits for a `meltano run`, would die of it: the pod would end at once, and the loader with it. So
the signal goes to the `meltano run` below, which ends tap and loader and waits for both.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from orchestrate import alerts, ledger, plugin_files
from orchestrate.alerts import Alert
from orchestrate.cronjob import RUN_ID
from orchestrate.errors import OrchestrateError
from orchestrate.masking import Mask
from orchestrate.needs import MELTANO_SECRETS
from orchestrate.schedules import meltano_command

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

LOG_LINES_TOLD = 15
STOPPED = 128 + signal.SIGTERM

logger = logging.getLogger(__name__)


class Run:
    """One run of a schedule in this process's children."""

    def __init__(self, schedule: str, mask: Mask) -> None:
        self.schedule = schedule
        self.is_stopped = False
        self._mask = mask
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=LOG_LINES_TOLD)

    def __call__(self) -> int:
        """Run it to its end; return its exit code as a shell does, 143 when it was told to stop."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._process = subprocess.Popen(
            [meltano_command(), "schedule", "run", self.schedule],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that a signal to our group is not given to them twice
        )
        if self.is_stopped:
            self._hand_on()
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        for line in self._process.stdout:
            self._tell(line)
        code = self._process.wait()
        if self.is_stopped and code:
            return STOPPED
        return 128 - code if code < 0 else code  # negative: the number of the signal it died of

    @property
    def log(self) -> str:
        """The last lines, without secrets."""
        return "\n".join(self._lines)

    def _tell(self, line: str) -> None:
        masked = self._mask(line)
        sys.stdout.write(masked)
        sys.stdout.flush()
        self._lines.append(_event(masked.rstrip("\n")))

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's
        self.is_stopped = True
        self._hand_on()

    def _hand_on(self) -> None:
        """To `meltano run`, or to `meltano schedule run` while it has not started that yet."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            for process in parent.children() or [parent]:
                process.terminate()


def run(project: Path, schedule: str, schemas: list[str]) -> int:
    """Run a schedule in this pod; post an alert if it fails. Return its exit code."""
    secrets = plugin_files.read(project).secret_variables | set(MELTANO_SECRETS)
    mask = Mask(os.environ, secrets)
    started = time.monotonic()
    running = Run(schedule, mask)
    code = running()
    if code and alerts.webhook():
        seconds = time.monotonic() - started
        try:
            alerts.post(failure(running, code, seconds, schemas))
        except OrchestrateError as error:
            logger.error("%s", error)  # noqa: TRY400 - a sentence, whose trace says nothing more
    return code


def failure(running: Run, code: int, seconds: float, schemas: list[str]) -> Alert:
    """The alert of a run that did not succeed."""
    how = "was stopped by SIGTERM" if running.is_stopped else f"failed with exit code {code}"
    facts = {
        "run": os.environ.get(RUN_ID, "unknown"),
        "duration": f"{seconds:.0f} s",
        "ledger": _ledger(schemas),
    }
    return Alert(f"Schedule {running.schedule} {how}", facts, running.log)


def _ledger(schemas: list[str]) -> str:
    run_id = os.environ.get(RUN_ID)
    if not (run_id and ledger.is_configured()):
        return "not asked: the loader's variables are not set"
    try:
        found = ledger.of_runs({schema: [run_id] for schema in schemas})
    except OrchestrateError as error:
        return str(error)
    return str(found[run_id]) if run_id in found else "nothing was committed"


def _event(line: str) -> str:
    """What a line of Meltano's JSON log says; any other line as it is."""
    with suppress(json.JSONDecodeError, KeyError, TypeError):
        entry = json.loads(line)
        return f"{entry['level']}: {entry['event']}"
    return line
