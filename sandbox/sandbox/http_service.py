"""Starting and stopping a server of ours that speaks HTTP and answers `/sandbox/health`."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.process import Daemon, require_free_port, wait_until
from sandbox.settings import HOST, SandboxError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.settings import Settings


class HttpService:
    """`python -m sandbox.<name>` as a background process.

    Attributes:
        folder: Where it keeps its data, its log and its pid file.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(
        self, name: str, config: Settings, *, folder: Path, port: int, port_variable: str
    ) -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self._port_variable = port_variable
        self._environment = config.environment()
        self._daemon = Daemon(name, folder)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def is_running(self) -> bool:
        return self._daemon.process() is not None

    def is_ready(self) -> bool:
        """Whether our own process runs and answers."""
        if not self.is_running():
            return False
        with (
            suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{self.url}/sandbox/health", timeout=2),  # noqa: S310 - http
        ):
            return True
        return False

    def start(self) -> None:
        """Start the process and wait until it answers.

        Raises:
            SandboxError: The port is taken, or the process ended; the text carries its log's end.
        """
        require_free_port(self.port, self._port_variable, self.name)
        self._daemon.start([sys.executable, "-m", f"sandbox.{self.name}"], self._environment)
        if not wait_until(self.is_ready, self.is_running):
            words = self._daemon.last_words()
            self._daemon.stop()
            raise SandboxError(
                f"Starting {self.name} failed; its log {self._daemon.log} ends: {words}"
            )

    def stop(self) -> bool:
        return self._daemon.stop()

    def pid(self) -> int | None:
        process = self._daemon.process()
        return process.pid if process else None
