"""The `sandbox` command."""

from __future__ import annotations

import shutil
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sandbox import seed, settings
from sandbox.postgres import Postgres
from sandbox.services import Service, all_services
from sandbox.settings import SandboxError
from sandbox.warehouse_service import WarehouseService

cli = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)

Only = Annotated[str | None, typer.Option(help="One service: warehouse, postgres or vendors.")]


def app() -> None:
    """Run the command; a SandboxError is one sentence and exit code 1."""
    try:
        cli()
    except SandboxError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from None


@cli.command()
def up(only: Only = None) -> None:
    """Start what does not run yet, and wait until it answers."""
    services = _services(only)
    for service in services:
        with console.status(f"Starting {service.name}"):
            service.up()
    _print_table(services)


@cli.command()
def down(only: Only = None) -> None:
    """Stop everything; the data stays."""
    for service in reversed(_services(only)):
        stopped = service.server.stop()
        console.print(f"{service.name}: {'stopped' if stopped else 'was not running'}")


@cli.command()
def status(only: Only = None) -> None:
    """Show what runs; exits with 0 only when everything does."""
    services = _services(only)
    _print_table(services)
    if not all(service.server.is_ready() for service in services):
        raise typer.Exit(1)


@cli.command()
def reset() -> None:
    """Stop everything and delete its data."""
    down()
    folder = settings.load().folder
    if folder.exists():
        shutil.rmtree(folder)
    console.print(f"{folder}: deleted")


@cli.command()
def change() -> None:
    """Apply one round of inserts, updates and deletes to the PostgreSQL databases."""
    config = settings.load()
    server = Postgres(config.postgres_folder, config.postgres_port)
    if not server.is_ready():
        raise SandboxError(
            f"Cannot change rows: PostgreSQL does not answer on port {config.postgres_port}."
            " Start it with `sandbox up`."
        )
    table = Table("database", "table", "inserted", "updated", "deleted")
    for database in settings.POSTGRES_DATABASES:
        with _connect(server, database) as connection:
            for done in seed.change(connection, database):
                counts = map(str, (done.inserted, done.updated, done.deleted))
                table.add_row(database, done.table, *counts)
    console.print(table)


@cli.command("run")
def run_command(
    name: Annotated[
        str | None, typer.Argument(help="One source, or one job; without it, all.")
    ] = None,
) -> None:
    """Start the sandbox, run the Meltano jobs and show what each stream brought."""
    from sandbox import run  # noqa: PLC0415 - the connector takes a second to import

    run.jobs(name)  # an unknown name is said before anything is started
    up()
    raise typer.Exit(run.run(settings.load(), name, console))


@cli.command("sql")
def sql_command(
    query: Annotated[str | None, typer.Argument(help="A statement; without it, a prompt.")] = None,
) -> None:
    """Query the local warehouse."""
    from sandbox import sql  # noqa: PLC0415 - the connector takes a second to import

    warehouse = WarehouseService(settings.load())
    if not warehouse.is_ready():
        raise SandboxError(
            f"Cannot query: the warehouse does not answer at {warehouse.url}."
            " Start it with `sandbox up`."
        )
    with sql.connect(warehouse.config) as connection:
        if query:
            sql.run(connection, query, console)
        else:
            sql.prompt(connection, console)


def _connect(server: Postgres, database: str) -> psycopg.Connection:
    try:
        return server.connection(database).connect()
    except psycopg.OperationalError as error:
        raise SandboxError(
            f"Cannot open database {database}: {error} Seed it with `sandbox up`."
        ) from error


def _services(only: str | None) -> list[Service]:
    services = all_services(settings.load())
    names = [service.name for service in services]
    if only and only not in names:
        raise SandboxError(f"There is no service {only!r}; the services are {', '.join(names)}.")
    return [service for service in services if only in {None, service.name}]


def _print_table(services: list[Service]) -> None:
    table = Table("service", "state", "address", "login", "pid")
    for service in services:
        state = "[green]up" if service.server.is_ready() else "[red]down"
        address = f"{settings.HOST}:{service.port}"
        pid = service.server.pid()
        table.add_row(service.name, state, address, escape(service.login), str(pid or ""))
    console.print(table)


if __name__ == "__main__":
    app()
