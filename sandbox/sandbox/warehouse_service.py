"""Starting and stopping the warehouse's process."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox import settings
from sandbox.process import Daemon, require_free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path


class WarehouseService:
    """The warehouse as a background process."""

    def __init__(self, config: settings.Settings) -> None:
        self._settings = config
        self._daemon = Daemon("warehouse", config.warehouse_folder)

    @property
    def url(self) -> str:
        return f"http://{settings.HOST}:{self._settings.warehouse_port}"

    @property
    def config(self) -> dict[str, Any]:
        """Settings for `snowflake.connector.connect`, but for the schema."""
        return {
            "account": settings.WAREHOUSE_ACCOUNT,
            "user": settings.WAREHOUSE_USER,
            "password": settings.PASSWORD,
            "host": settings.HOST,
            "port": self._settings.warehouse_port,
            "protocol": "http",
            "database": settings.WAREHOUSE_DATABASE,
        }

    @property
    def query_log(self) -> Path:
        return self._settings.warehouse_folder / "queries.jsonl"

    @property
    def keys_folder(self) -> Path:
        """Where public keys for key-pair logins go, as `<user>.pub`."""
        return self._settings.warehouse_folder / "keys"

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
        variable = settings.WAREHOUSE_PORT_VARIABLE
        require_free_port(self._settings.warehouse_port, variable, "the warehouse")
        command = [sys.executable, "-m", "sandbox.warehouse"]
        self._daemon.start(command, self._settings.environment())
        if not wait_until(self.is_ready, self.is_running):
            words = self._daemon.last_words()
            self._daemon.stop()
            raise settings.SandboxError(
                f"The warehouse did not start; its log {self._daemon.log} ends: {words}"
            )

    def stop(self) -> bool:
        return self._daemon.stop()

    def pid(self) -> int | None:
        process = self._daemon.process()
        return process.pid if process else None
