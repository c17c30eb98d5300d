"""Where the sandbox keeps its data and which ports it listens on: the one place that says so."""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
LAST_PORT = 65535
PASSWORD = "sandbox"  # noqa: S105 - the sandbox's own password, published in its README
WAREHOUSE_ACCOUNT = "sandbox"
WAREHOUSE_DATABASE = "RAW"
WAREHOUSE_USER = "loader"
WAREHOUSE_READER = "reader"
POSTGRES_USER = "tributary"
POSTGRES_DATABASES = ("gitlab_ops", "customers")

# What makes the Python connector give up within seconds, where its own limits are minutes, and
# keeps it from asking the clouds' metadata services where it runs: without a network, each login
# may wait 5 s for a name server.
QUICK_FAILURE = {
    "login_timeout": 5,
    "network_timeout": 10,
    "socket_timeout": 60,
    "platform_detection_timeout_seconds": 0.0,
}

DIR_VARIABLE = "TRIBUTARY_SANDBOX_DIR"
ROWS_VARIABLE = "TRIBUTARY_SANDBOX_ROWS"
WAREHOUSE_PORT_VARIABLE = "TRIBUTARY_WAREHOUSE_PORT"
WAREHOUSE_MEMORY_VARIABLE = "TRIBUTARY_WAREHOUSE_MEMORY"
WAREHOUSE_IDLE_VARIABLE = "TRIBUTARY_WAREHOUSE_IDLE_TRANSACTION_SECONDS"
POSTGRES_PORT_VARIABLE = "TRIBUTARY_POSTGRES_PORT"
VENDORS_PORT_VARIABLE = "TRIBUTARY_VENDORS_PORT"


class SandboxError(Exception):
    """Something the user can put right; its text is one sentence that says how."""


@dataclass(frozen=True)
class Settings:
    """Settings of one sandbox.

    Attributes:
        folder: Everything the sandbox writes; safe to delete while it is down.
        warehouse_port: TCP port of the warehouse.
        postgres_port: TCP port of PostgreSQL.
        vendors_port: TCP port of the vendors.
        warehouse_memory: DuckDB's memory limit, in its own notation (`400MB`).
        idle_transaction_seconds: After this long without a statement, a session with an open
            transaction is rolled back and closed.
        rows: Rows of the largest seeded table.
    """

    folder: Path
    warehouse_port: int = 8084
    postgres_port: int = 15432
    vendors_port: int = 8085
    warehouse_memory: str = "400MB"
    idle_transaction_seconds: float = 10.0
    rows: int = 20_000

    @property
    def warehouse_folder(self) -> Path:
        return self.folder / "warehouse"

    @property
    def postgres_folder(self) -> Path:
        return self.folder / "postgres"

    @property
    def vendors_folder(self) -> Path:
        return self.folder / "vendors"

    def environment(self) -> dict[str, str]:
        """The process environment that makes a child process read these same settings."""
        return {
            **os.environ,
            DIR_VARIABLE: str(self.folder),
            ROWS_VARIABLE: str(self.rows),
            WAREHOUSE_PORT_VARIABLE: str(self.warehouse_port),
            WAREHOUSE_MEMORY_VARIABLE: self.warehouse_memory,
            WAREHOUSE_IDLE_VARIABLE: str(self.idle_transaction_seconds),
            POSTGRES_PORT_VARIABLE: str(self.postgres_port),
            VENDORS_PORT_VARIABLE: str(self.vendors_port),
        }


def load() -> Settings:
    """Read the settings from the environment.

    Raises:
        SandboxError: A variable that must be a number or a port is not one.
    """
    folder = os.environ.get(DIR_VARIABLE)
    return Settings(
        folder=Path(folder).absolute() if folder else project_root() / ".sandbox",
        warehouse_port=_port(WAREHOUSE_PORT_VARIABLE, 8084),
        postgres_port=_port(POSTGRES_PORT_VARIABLE, 15432),
        vendors_port=_port(VENDORS_PORT_VARIABLE, 8085),
        warehouse_memory=os.environ.get(WAREHOUSE_MEMORY_VARIABLE, "400MB"),
        idle_transaction_seconds=_number(WAREHOUSE_IDLE_VARIABLE, 10),
        rows=int(_number(ROWS_VARIABLE, 20_000)),
    )


def project_root() -> Path:
    """The nearest folder at or above the current one that holds `meltano.yml`, else the current."""
    here = Path.cwd()
    return next((f for f in (here, *here.parents) if (f / "meltano.yml").exists()), here)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _port(variable: str, default: int) -> int:
    number = _number(variable, default)
    if number > LAST_PORT or not number.is_integer():
        raise SandboxError(
            f"{variable} must be a port from 1 to {LAST_PORT}, but it is {number:g}."
        )
    return int(number)


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, str(default))
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise SandboxError(f"{variable} must be a number greater than zero, but it is {text!r}.")
    return number
