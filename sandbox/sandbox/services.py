"""The table of services: what `sandbox up`, `down` and `status` go through.

A new vendor needs no line here: all of them are one service (see `sandbox.vendors.registry`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sandbox import seed, settings
from sandbox.http_service import HttpService
from sandbox.postgres import Postgres
from sandbox.process import require_free_port
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Callable


class Server(Protocol):
    """What a service's module offers."""

    def start(self) -> None: ...

    def stop(self) -> bool: ...

    def is_running(self) -> bool: ...

    def is_ready(self) -> bool: ...

    def pid(self) -> int | None: ...


@dataclass(frozen=True)
class Service:
    """One line of the table.

    Attributes:
        name: What the command line calls it.
        port: Where it listens on 127.0.0.1.
        port_variable: The environment variable that changes the port.
        login: How to reach it, for people.
        server: Starts and stops it.
        prepare: Runs once it is up; makes the data a new service lacks.
    """

    name: str
    port: int
    port_variable: str
    login: str
    server: Server
    prepare: Callable[[], None]

    def up(self) -> None:
        """Start it if it does not run, and see to its data.

        Raises:
            SandboxError: The port is taken or the service did not start.
        """
        if not self.server.is_ready():
            self.server.stop()  # what is left of a service that no longer answers
            require_free_port(self.port, self.port_variable, self.name)
            self.server.start()
        self.prepare()


def all_services(config: settings.Settings) -> list[Service]:
    """Every service, in the order they start."""
    postgres = Postgres(config.postgres_folder, config.postgres_port)
    return [
        Service(
            "warehouse",
            config.warehouse_port,
            settings.WAREHOUSE_PORT_VARIABLE,
            f"{settings.WAREHOUSE_USER} / {settings.PASSWORD}, database"
            f" {settings.WAREHOUSE_DATABASE}",
            WarehouseService(config),
            prepare=lambda: None,
        ),
        Service(
            "postgres",
            config.postgres_port,
            settings.POSTGRES_PORT_VARIABLE,
            f"{settings.POSTGRES_USER} / {settings.PASSWORD}, databases"
            f" {', '.join(settings.POSTGRES_DATABASES)}",
            postgres,
            prepare=lambda: seed_missing(postgres, config.rows),
        ),
        Service(
            "vendors",
            config.vendors_port,
            settings.VENDORS_PORT_VARIABLE,
            "each under its own path; their logins are in .env",
            HttpService(
                "vendors",
                config,
                folder=config.vendors_folder,
                port=config.vendors_port,
                port_variable=settings.VENDORS_PORT_VARIABLE,
            ),
            prepare=lambda: None,
        ),
    ]


def seed_missing(server: Postgres, rows: int) -> None:
    """Make and fill the databases that do not exist yet."""
    for database in settings.POSTGRES_DATABASES:
        if database in server.databases():
            continue
        target = server.create_database(database)
        try:
            with target.connect() as connection:
                seed.seed(connection, database, rows)
        except BaseException:
            # A half-made database would pass for a finished one the next time.
            server.drop_database(database)
            raise
