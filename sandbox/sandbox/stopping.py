"""Child processes that end in good order when this process is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType
    from typing import IO

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.2


class StopSignals:
    """Notices the signals that mean "end" while it is entered as a context manager.

    Children are in sessions of their own, so that Ctrl-C in a terminal reaches them through us
    alone: a tap that is told twice does not end in good order.
    """

    def __init__(self) -> None:
        self._noticed: list[int] = []

    @property
    def exit_code(self) -> int | None:
        """What a shell makes of the first signal; None when there was none."""
        return 128 + self._noticed[0] if self._noticed else None

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: IO[str],
        on_stop: Callable[[], None],
    ) -> int:
        """Run a command to its end and return its exit code.

        After a signal it gets SIGTERM, once, and `on_stop` is called; after another it is killed.
        """
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        handed_on = 0
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_SECONDS)
            if len(self._noticed) > handed_on:
                handed_on += 1
                if handed_on == 1:
                    process.terminate()
                    on_stop()
                else:
                    os.killpg(process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        # One that is ignored, as after `nohup`, stays so.
        heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._notice) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's
        self._noticed.append(number)
