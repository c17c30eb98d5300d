"""A source database, its copy in a warehouse, and the command that compares them."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from reconcile.cli import app
from typer.testing import CliRunner

from snowflake_loader.target import TargetSnowflake
from tap_postgres.tap import TapPostgres

if TYPE_CHECKING:
    from sandbox.postgres import Connection
    from sandbox.testing import Warehouse

BIN = Path(sys.executable).parent


@dataclass
class Pair:
    """Both sides of one test."""

    source: Connection
    warehouse: Warehouse
    folder: Path
    tap: dict[str, Any] = field(default_factory=dict)
    loader: dict[str, Any] = field(default_factory=dict)

    def execute(self, *statements: str) -> None:
        with self.source.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def change(self, statement: str) -> None:
        """Run a statement in the warehouse; `{}` stands for its schema."""
        self.warehouse.query(statement.format(self.warehouse.schema))

    def manifest(self, table: str, **keys: Any) -> None:
        entry = {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table": table,
            "export_table_primary_key": "id",
            "import_query": f"SELECT * FROM {table}",
        }
        path = self.folder / "manifest.yml"
        path.write_text(yaml.safe_dump({"tables": {table: {**entry, **keys}}}))
        self.tap["manifests"] = [str(path)]

    def load(self, **settings: Any) -> None:
        """Run tap into loader, in this process."""
        sent = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(sent):
            TapPostgres(config=self.tap_settings | settings).sync_all()
            sent.flush()
        sent.seek(0)
        with redirect_stdout(io.StringIO()):
            TargetSnowflake(config=self.loader_settings).listen(sent)

    def reconcile(self, *options: str, code: int) -> tuple[list[dict[str, Any]], str]:
        """Run the command; its report, and what it said on standard error."""
        result = CliRunner().invoke(app, [*self.arguments(), "--format", "json", *options])
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout), result.stderr

    def arguments(self) -> list[str]:
        tap, loader = (
            self._write("tap", self.tap_settings),
            self._write("loader", self.loader_settings),
        )
        return ["reconcile", "tap-postgres", "--tap-config", tap, "--loader-config", loader]

    @property
    def tap_settings(self) -> dict[str, Any]:
        names = ("host", "port", "user", "password", "database")
        return {name: getattr(self.source, name) for name in names} | self.tap

    @property
    def loader_settings(self) -> dict[str, Any]:
        return {**self.warehouse.config, "work_directory": str(self.folder), **self.loader}

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@pytest.fixture
def pair(postgres_database: Connection, warehouse: Warehouse, tmp_path: Path) -> Pair:
    return Pair(postgres_database, warehouse, tmp_path)


@pytest.fixture(autouse=True)
def commands_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader is found as Meltano finds it."""
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
