"""The `tributary` command."""

from __future__ import annotations

import enum
import time
from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from reconcile import repair as repairs
from reconcile import report
from reconcile.compare import Comparison, Sizes
from reconcile.errors import ReconcileError
from reconcile.report import Outcome
from reconcile.settings import Settings, from_files, from_meltano
from reconcile.streams import read_streams
from reconcile.tables import Pair, pair
from reconcile.warehouse import Warehouse, loader_config
from snowflake_loader.errors import LoadError
from tap_postgres.tap import TapPostgres
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_postgres.streams import PostgresStream

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
WIDTH_WITHOUT_TERMINAL = 150
ERRORS = (ReconcileError, TapError, LoadError)


class Format(enum.StrEnum):
    """How the report is written."""

    TABLE = "table"
    JSON = "json"


@app.callback()
def tributary() -> None:
    """Looks after what Tributary has loaded."""


@app.command()
def reconcile(  # noqa: PLR0913, PLR0917 - options of a command
    extractor: Annotated[
        str, typer.Argument(help="The tap: tap-postgres, or a plugin that inherits from it.")
    ],
    table: Annotated[
        list[str] | None, typer.Option(help="One table; may be given several times. Default: all.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A column to leave out; may be given several times.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Load again what differs.")] = False,  # noqa: FBT002 - typer's way
    max_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            envvar="RECONCILE_MAX_SHARE",
            help="Share of a table's rows above which nothing is repaired.",
        ),
    ] = 0.2,
    parallel: Annotated[int, typer.Option(min=1, help="Queries at once, on each side.")] = 2,
    keys: Annotated[int, typer.Option(min=0, help="Differing keys to show, of each kind.")] = 10,
    format_: Annotated[Format, typer.Option("--format", help="The report's form.")] = Format.TABLE,
    loader: Annotated[str, typer.Option(help="The loader.")] = "target-snowflake",
    tap_config: Annotated[
        Path | None, typer.Option(help="The tap's settings as JSON, instead of Meltano's.")
    ] = None,
    loader_config_file: Annotated[
        Path | None, typer.Option("--loader-config", help="The loader's settings, likewise.")
    ] = None,
) -> None:
    """Compare tables in Snowflake with their source: 0 equal, 1 different, 2 not compared."""
    sizes = Sizes(parallel=parallel)
    try:
        settings = _settings(extractor, loader, tap_config, loader_config_file)
        with Warehouse(loader_config(settings.loader)) as warehouse:
            work = Work(warehouse, sizes, tuple(ignore or ()), max_share if repair else None)
            outcomes = list(work.outcomes(settings, table or []))
    except ERRORS as error:
        outcomes = [Outcome(extractor, error=str(error))]
    _print(outcomes, format_, keys)
    raise typer.Exit(max((outcome.exit_code for outcome in outcomes), default=0))


class Work:
    """Compares, and where `max_share` is given repairs, one table after the other."""

    def __init__(
        self,
        warehouse: Warehouse,
        sizes: Sizes,
        ignored: tuple[str, ...],
        max_share: float | None,
    ) -> None:
        self._warehouse, self._sizes = warehouse, sizes
        self._ignored, self._max_share = ignored, max_share

    def outcomes(self, settings: Settings, wanted: list[str]) -> Iterator[Outcome]:
        """Yield what became of each table; one that fails does not stop the others.

        Raises:
            ReconcileError, TapError: the settings are wrong, or the source cannot be reached.
        """
        unreadable: dict[str, TapError] = {}
        tap = TapPostgres(config=settings.tap)
        streams = read_streams(tap, wanted, unreadable)
        for stream in streams:
            yield self._outcome(stream)
        for name, error in unreadable.items():
            yield Outcome(name, error=str(error))

    def _outcome(self, stream: PostgresStream) -> Outcome:
        started = time.monotonic()
        outcome = Outcome(stream.name)
        try:
            found = pair(stream, self._warehouse, self._ignored)
            outcome.key = found.source.key
            outcome.difference = Comparison(found, self._sizes).run()
            outcome.seconds = time.monotonic() - started
            if self._max_share is not None and outcome.difference.keys:
                self._repair(found, outcome, self._max_share)
        except ERRORS as error:
            outcome.error = str(error)
        outcome.seconds = outcome.seconds or time.monotonic() - started
        return outcome

    def _repair(self, found: Pair, outcome: Outcome, max_share: float) -> None:
        difference = outcome.difference
        assert difference is not None  # noqa: S101 - who calls has compared
        repairs.check(found, difference, max_share)
        repairs.repair(found, difference, self._warehouse)
        differing = [*difference.missing, *difference.extra, *difference.changed]
        # Its marks may be new.
        now = pair(found.stream, self._warehouse, self._ignored)
        outcome.left = Comparison(now, self._sizes).again(differing)


def _settings(
    extractor: str, loader: str, tap_config: Path | None, loader_config_file: Path | None
) -> Settings:
    if tap_config and loader_config_file:
        return from_files(tap_config, loader_config_file)
    if tap_config or loader_config_file:
        raise ReconcileError("--tap-config and --loader-config belong together. Give both or none.")
    return from_meltano(extractor, loader)


def _print(outcomes: list[Outcome], form: Format, keys: int) -> None:
    if form is Format.JSON:
        typer.echo(report.as_json(outcomes, keys))
    else:
        console = Console(emoji=False)
        if not console.is_terminal:
            console.width = WIDTH_WITHOUT_TERMINAL
        console.print(report.table(outcomes))
        for line in report.key_lines(outcomes, keys):
            typer.echo(line)
    for outcome in outcomes:
        if outcome.error is not None:
            typer.echo(outcome.error, err=True)


if __name__ == "__main__":
    app()
