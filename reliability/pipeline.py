"""One run of a tap into the loader, as Meltano makes it, and the ways to kill it on the way."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import psutil

from reliability import freezing_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOADER = Path(sys.executable).with_name("tributary-target-snowflake")
FREEZING_LOADER = (sys.executable, "-m", "reliability.freezing_loader")
TIMEOUT_SECONDS = 180
POLL_SECONDS = 0.005
FREEZE_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Kill:
    """What dies, and when.

    Attributes:
        boundary: Its name in the report.
        fault: For the loader's own points: `<point>:<n>`.
        freeze: For `freezing_loader`: `<moment>:<n>`. Nothing dies, but another run comes between.
        tap_at: The tap dies when so many of its messages have passed.
        loader_at: The loader dies when so many messages have passed.
        stop_at: The loader gets SIGTERM when so many messages have passed.
        after: The tap, the loader or both die so many seconds after their start.
        victims: Which of the two `after` kills.
        warehouse: A fault of the stand-in: `{"cut_after": "COMMIT", "times": 1}`.
        forgets_states: Whether what the loader prints is lost, as when Meltano dies.
    """

    boundary: str
    fault: str | None = None
    freeze: str | None = None
    tap_at: int | None = None
    loader_at: int | None = None
    stop_at: int | None = None
    after: float | None = None
    victims: tuple[str, ...] = ()
    warehouse: Mapping[str, Any] | None = None
    forgets_states: bool = False


NO_KILL = Kill("none")


class States(Protocol):
    """Where the state of one pipeline is kept between its runs."""

    def read(self) -> dict[str, Any] | None:
        """The state that the next run starts from."""

    def write(self, state: Any) -> None:
        """Take in a state that the loader printed."""


@dataclass(frozen=True)
class Pipeline:
    """A tap, the loader, and their settings.

    Attributes:
        tap: The tap's command.
        tap_config: Its settings.
        loader_config: The loader's.
        environment: Variables of both.
        folder: Where its files are; one folder for each case.
        states: Where its state is kept.
        loader: The loader's command.
        catalog: The tap's catalog, if not its own.
    """

    tap: tuple[str, ...]
    tap_config: Mapping[str, Any]
    loader_config: Mapping[str, Any]
    environment: Mapping[str, str]
    folder: Path
    states: States
    loader: tuple[str, ...] = (str(LOADER),)
    catalog: Mapping[str, Any] | None = None

    def run(
        self, kill: Kill = NO_KILL, *, while_frozen: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Run it once, to its end or to its death."""
        return _Run(self, kill, while_frozen).outcome()


@dataclass
class Outcome:
    """How a run ended: both exit codes (negative for a signal), seconds, messages, logs.

    `was_frozen` says whether the loader was stopped and thawed on the way.
    """

    tap: int
    loader: int
    seconds: float
    messages: int
    log: str
    was_frozen: bool = False

    @property
    def is_whole(self) -> bool:
        return self.tap == 0 and self.loader == 0


@dataclass
class _Run:
    pipeline: Pipeline
    kill: Kill
    while_frozen: Callable[[], None]
    _messages: int = field(default=0, init=False)
    _was_frozen: bool = field(default=False, init=False)

    def outcome(self) -> Outcome:
        begun = time.monotonic()
        self.pipeline.folder.mkdir(parents=True, exist_ok=True)
        tap_log = (self.pipeline.folder / "tap.log").open("wb")
        loader_log = (self.pipeline.folder / "loader.log").open("wb")
        self._tap = self._start_tap(tap_log)
        self._loader = self._start_loader(loader_log)
        works = [self._take_states, self._end_tap, *([self._thaw] if self.kill.freeze else [])]
        beside = [threading.Thread(target=work) for work in works]
        for thread in beside:
            thread.start()
        timer = self._timer()
        self._relay()
        tap_code = self._tap.wait(TIMEOUT_SECONDS)
        loader_code = self._loader.wait(TIMEOUT_SECONDS)
        timer.cancel()
        for thread in beside:
            thread.join()
        tap_log.close()
        loader_log.close()
        names = ("tap.log", "loader.log")
        log = "\n".join((self.pipeline.folder / name).read_text(errors="replace") for name in names)
        seconds = time.monotonic() - begun
        return Outcome(tap_code, loader_code, seconds, self._messages, log, self._was_frozen)

    def _start_tap(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        arguments = ["--config", self._json("tap.json", self.pipeline.tap_config)]
        if state := self.pipeline.states.read():
            arguments += ["--state", self._json("state.json", state)]
        if self.pipeline.catalog:
            arguments += ["--catalog", self._json("catalog.json", self.pipeline.catalog)]
        return subprocess.Popen(
            [*self.pipeline.tap, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(self.pipeline.environment),
            cwd=self.pipeline.folder,
            process_group=0,  # Ctrl-C ends the matrix after this case, not the case
        )

    def _start_loader(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        fault = {"TARGET_SNOWFLAKE_FAULT": self.kill.fault} if self.kill.fault else {}
        freeze = {freezing_loader.VARIABLE: self.kill.freeze} if self.kill.freeze else {}
        return subprocess.Popen(
            [
                *(FREEZING_LOADER if self.kill.freeze else self.pipeline.loader),
                "--config",
                self._json("loader.json", self.pipeline.loader_config),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**self.pipeline.environment, **fault, **freeze},
            cwd=self.pipeline.folder,
            process_group=0,
        )

    def _relay(self) -> None:
        """Hand the tap's messages to the loader, one by one, and kill where it is asked for."""
        assert self._tap.stdout
        assert self._loader.stdin
        try:
            for line in self._tap.stdout:
                self._loader.stdin.write(line)
                self._loader.stdin.flush()
                self._messages += 1
                self._kill_at(self._messages)
            self._loader.stdin.close()
        except BrokenPipeError:
            self._tap.kill()  # the loader has gone

    def _end_tap(self) -> None:
        """Kill the tap when the loader has failed, as Meltano does: it may wait for the loader."""
        if self._loader.wait():
            self._tap.kill()

    def _thaw(self) -> None:
        """Wait until the loader has stopped, let another run do its work, and wake it."""
        loader = psutil.Process(self._loader.pid)
        while self._loader.poll() is None and not self._was_frozen:
            self._was_frozen = loader.status() == psutil.STATUS_STOPPED
            time.sleep(FREEZE_POLL_SECONDS)
        if self._was_frozen:
            try:
                self.while_frozen()
            finally:
                self._loader.send_signal(signal.SIGCONT)

    def _kill_at(self, messages: int) -> None:
        if messages not in {self.kill.tap_at, self.kill.loader_at, self.kill.stop_at}:
            return
        self._wait_until_read()
        if messages == self.kill.tap_at:
            self._tap.kill()
        if messages == self.kill.loader_at:
            self._loader.kill()
        if messages == self.kill.stop_at:
            self._loader.send_signal(signal.SIGTERM)

    def _wait_until_read(self) -> None:
        """Wait until the loader has read all that was handed to it, so that it is at work."""
        pipe = self._loader.stdin
        while pipe and self._loader.poll() is None:
            unread = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0" * 4)
            if not struct.unpack("i", unread)[0]:
                return
            time.sleep(POLL_SECONDS)

    def _timer(self) -> threading.Timer:
        def strike() -> None:
            if "tap" in self.kill.victims:
                self._tap.kill()
            if "loader" in self.kill.victims:
                self._loader.kill()

        timer = threading.Timer(self.kill.after or 0, strike)
        if self.kill.after is not None:
            timer.start()
        return timer

    def _take_states(self) -> None:
        assert self._loader.stdout
        for line in self._loader.stdout:
            if not self.kill.forgets_states:
                self.pipeline.states.write(json.loads(line))

    def _json(self, name: str, value: Any) -> str:
        path = self.pipeline.folder / name
        path.write_text(json.dumps(value))
        return str(path)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's variables with others above them, and none that Meltano sets."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MELTANO_")}
    return {**own, "PYTHONPATH": str(Path(__file__).parents[1]), **variables}
