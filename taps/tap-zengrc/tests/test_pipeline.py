"""tap-zengrc into target-snowflake: the warehouse ends equal to ZenGRC."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from snowflake_loader.errors import LoadError
from snowflake_loader.target import TargetSnowflake
from tap_zengrc.streams import NAMES, PERSONAL, SCHEMAS

if TYPE_CHECKING:
    from sandbox.testing import Warehouse

    from .conftest import Source

BIN = Path(sys.executable).parent
encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass
class Pipeline:
    """ZenGRC, a warehouse, and what Meltano keeps between runs: the last state."""

    source: Source
    warehouse: Warehouse
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)

    def run_commands(self) -> None:
        """Run both as processes, with every stream."""
        tap = [str(BIN / "tap-zengrc"), "--config", self._write("tap", self.source.config())]
        sent = subprocess.run(tap, stdout=subprocess.PIPE, check=True, timeout=60).stdout
        config = self._write("target", self._target)
        loader = [str(BIN / "tributary-target-snowflake"), "--config", config]
        done = subprocess.run(loader, input=sent, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        self.state = json.loads(done.stdout.splitlines()[-1])

    def load(self, *, name: str = "requests") -> None:
        """Run both in this process, with one stream."""
        messages = self.source.sync(name, state=self.state).messages
        self.state = self._listen(messages)[-1]

    def mark(self, *, name: str = "requests", **settings: Any) -> None:
        """Load the keys of one stream."""
        self._listen(self.source.sync(name, load_type="deletes", **settings).messages)

    def rows(self, name: str = "requests") -> list[dict[str, Any]]:
        return self.warehouse.query(f"SELECT * FROM {self.warehouse.schema}.{name.upper()}")

    def marked(self) -> list[int]:
        return [row["ID"] for row in self.rows() if row["_SDC_DELETED_AT"] is not None]

    def rows_read(self, method: str) -> int:
        """How many rows all loads by one method took in."""
        loads = f"{self.warehouse.schema}._LOADS WHERE METHOD = '{method}'"
        return int(self.warehouse.query(f"SELECT SUM(ROWS_READ) AS N FROM {loads}")[0]["N"])

    @property
    def _target(self) -> dict[str, Any]:
        return {**self.warehouse.config, "uploaded_at": True}

    def _listen(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        target = TargetSnowflake(config=self._target)
        output = io.StringIO()
        with redirect_stdout(output):
            try:
                target.listen(io.StringIO(encoder.encode_lines(messages).decode()))
            except BaseException:
                target.abandon()
                raise
        return [json.loads(line) for line in output.getvalue().splitlines()]

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


@pytest.fixture
def pipeline(source: Source, warehouse: Warehouse, tmp_path: Path) -> Pipeline:
    return Pipeline(source, warehouse, tmp_path)


def in_warehouse(found: dict[str, Any], column: str, definition: dict[str, Any]) -> Any:
    """What a property must be when it is read back: VARIANT as its JSON."""
    value = found.get(column)
    if value is None:
        return None
    if {"object", "array"} & set(definition["type"]):
        return ("json", json.dumps(value, sort_keys=True))
    if definition.get("format") == "date-time":
        return datetime.fromisoformat(value)
    return value


def read_back(value: Any, definition: dict[str, Any]) -> Any:
    if value is not None and {"object", "array"} & set(definition["type"]):
        return ("json", json.dumps(json.loads(value), sort_keys=True))
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def test_every_value_arrives(pipeline: Pipeline) -> None:
    pipeline.run_commands()

    for name in NAMES:
        columns = SCHEMAS.get_schema(name)["properties"]
        columns = {c: d for c, d in columns.items() if c not in PERSONAL.get(name, ())}
        rows = pipeline.rows(name)
        assert set(rows[0]) == {*map(str.upper, columns), "_SDC_DELETED_AT", "_UPLOADED_AT"}
        assert {row["_SDC_DELETED_AT"] for row in rows} == {None}
        loaded = {
            row["ID"]: {c: read_back(row[c.upper()], columns[c]) for c in columns} for row in rows
        }
        assert loaded == {
            found["id"]: {c: in_warehouse(found, c, columns[c]) for c in columns}
            for found in pipeline.source.read(name)
        }


def test_only_what_changed_is_loaded_and_gone_rows_are_marked(pipeline: Pipeline) -> None:
    requests = pipeline.source.read("requests")
    pipeline.load()
    requests[3]["custom_attributes"] = {"59": {"id": 59, "value": ["new"]}}
    gone = requests.pop(5)
    pipeline.load()
    pipeline.mark()

    (row,) = [row for row in pipeline.rows() if row["ID"] == requests[3]["id"]]
    assert json.loads(row["CUSTOM_ATTRIBUTES"]) == {"59": {"id": 59, "value": ["new"]}}
    assert pipeline.marked() == [gone["id"]]
    assert pipeline.rows_read("upsert") == 20 + 1
    (at,) = [row["_SDC_DELETED_AT"] for row in pipeline.rows() if row["ID"] == gone["id"]]
    assert timedelta() < datetime.now(UTC) - at < timedelta(hours=1)


@pytest.mark.parametrize("run", ["load", "mark"])
def test_a_row_that_comes_back_loses_its_mark(pipeline: Pipeline, run: str) -> None:
    """By whichever job runs first."""
    requests = pipeline.source.read("requests")
    pipeline.load()
    gone = requests.pop(5)
    pipeline.load()
    pipeline.mark()
    assert pipeline.marked() == [gone["id"]]

    requests.append(gone)
    getattr(pipeline, run)()

    assert pipeline.marked() == []


def test_the_fuse_of_deletes(pipeline: Pipeline) -> None:
    """A list that lost a quarter of its objects is more likely broken than cleaned up."""
    pipeline.load()
    del pipeline.source.read("requests")[:5]

    with pytest.raises(LoadError, match="5 of 20 rows of REQUESTS"):
        pipeline.mark()
    assert pipeline.marked() == []
    pipeline.mark(max_deleted_share=0.5)
    assert len(pipeline.marked()) == 5


def test_what_was_loaded_after_the_keys_were_read_is_not_marked(pipeline: Pipeline) -> None:
    """Two jobs may overlap: a new object is loaded while older keys are on their way."""
    requests = pipeline.source.read("requests")
    new = requests.pop()
    pipeline.load()
    keys = pipeline.source.sync("requests", load_type="deletes").messages
    requests.append(new)
    pipeline.load()

    pipeline._listen(keys)

    assert len(pipeline.rows()) == 20
    assert pipeline.marked() == []
