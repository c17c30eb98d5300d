"""A stream that cannot be loaded stops itself, and no other that is independent of it."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from snowflake_loader.errors import LoadError
from snowflake_loader.target import TargetSnowflake
from snowflake_loader.testing import (
    Messages,
    Run,
    activate,
    lines,
    record,
    schema,
    start_command,
    state,
    with_hints,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse

METHODS = {"keyed": "upsert", "plain": "append-only", "whole": "overwrite"}
COLUMNS = {"id": "integer", "name": "string"}
STREAMS = {name: {"load_method": method} for name, method in METHODS.items()}


def independent(stream: str, **columns: Any) -> dict[str, Any]:
    return with_hints(schema(stream, **columns), **{"x-independent": True})


def ids(warehouse: Warehouse, stream: str) -> list[int]:
    found = warehouse.query(
        "SELECT COUNT(*) AS N FROM RAW.INFORMATION_SCHEMA.TABLES "
        f"WHERE TABLE_SCHEMA = '{warehouse.schema}' AND TABLE_NAME = '{stream.upper()}'"
    )
    if not found[0]["N"]:
        return []
    rows = warehouse.query(f'SELECT ID FROM "{warehouse.schema}".{stream.upper()} ORDER BY ID')
    return [int(row["ID"]) for row in rows]


def records(stream: str, *numbers: int) -> Messages:
    return [record(stream, id=number, name="a") for number in numbers]


def test_a_type_that_changed_stops_its_own_stream_only(
    warehouse: Warehouse, run_command: Run
) -> None:
    names = [f"t{number}" for number in range(5)]
    before = [m for n in names for m in (independent(n, **COLUMNS), *records(n, 1))]
    run_command([state(), *before, state(**dict.fromkeys(names, 1))])
    messages: Messages = [state(**dict.fromkeys(names, 1))]
    for name in names:
        columns = COLUMNS | ({"name": "object"} if name == "t2" else {})
        messages.append(independent(name, **columns))
        messages.append(record(name, id=2, name={} if name == "t2" else "a"))
        messages.append(state(**{other: 2 if other <= name else 1 for other in names}))

    done = run_command(messages)

    assert done.code == 1
    assert "Stream t2" in done.log
    assert "VARIANT" in done.log
    assert "The other streams go on." in done.log
    assert {name: ids(warehouse, name) for name in names} == {
        name: [1] if name == "t2" else [1, 2] for name in names
    }
    assert done.states[-1]["bookmarks"] == {name: 1 if name == "t2" else 2 for name in names}


@pytest.mark.parametrize(
    ("begin", "first"),
    [(schema, [state(a=1)]), (independent, [])],
    ids=["dependent", "no state"],
)
def test_a_stream_stops_all_if_its_bookmark_cannot_stand_still(
    warehouse: Warehouse, run_command: Run, begin: Any, first: Messages
) -> None:
    bad = [begin("b"), record("b", id="x"), state(a=1, b=1)]
    other = [schema("a", keys=[]), *records("a", 1), state(a=2, b=1)]

    done = run_command([*first, *bad, *other])

    assert done.code == 1
    assert "does not fit its schema" in done.log
    assert done.states == [message["value"] for message in first]
    assert ids(warehouse, "a") == []


def test_several_that_fail_are_all_named(warehouse: Warehouse, run_command: Run) -> None:
    bad = [
        independent("a"), record("a", id="x"),
        independent("b"), record("b", name="no key"),
        with_hints(schema("c"), **{"x-independent": True, "x-slices": 5}), *records("c", 1),
        independent("d"), *records("d", 1),
    ]  # fmt: skip

    done = run_command([state(), *bad, state(a=1, b=1, c=1, d=1)])

    assert done.code == 1
    closing = done.log.splitlines()[-1]
    assert "3 things failed" in closing
    assert all(f"stream {name}" in closing.lower() for name in "abc")
    assert done.states[-1]["bookmarks"] == {"d": 1}
    assert ids(warehouse, "d") == [1]


def test_files_of_a_refused_stream_are_deleted(
    warehouse: Warehouse, run_command: Run, tmp_path: Path
) -> None:
    """A tap that may have only so many files waiting would wait for ever."""
    messages: Messages = [state(), independent("a"), record("a", id="x", name="a")]
    files = []
    for number in range(4):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"id": [number], "name": ["a"]}), path)
        files.append(path)
        messages.append(batch("a", path, "parquet"))
    path = tmp_path / "lines.jsonl"
    path.write_text('{"id": 9, "name": "a"}\n')
    messages += [batch("a", path, "jsonl"), independent("b"), *records("b", 1)]

    done = run_command([*messages, state(a=1, b=1)])

    assert done.code == 1
    assert not [path for path in (*files, path) if path.exists()]
    assert not list((tmp_path / "work").iterdir())
    assert ids(warehouse, "b") == [1]


def batch(stream: str, path: Path, form: str) -> dict[str, Any]:
    return {
        "type": "BATCH",
        "stream": stream,
        "encoding": {"format": form},
        "manifest": [path.as_uri()],
    }


def test_a_signal_after_a_refusal_ends_as_any(warehouse: Warehouse, tmp_path: Path) -> None:
    loader = start_command(warehouse.config, tmp_path)
    assert loader.stdin
    assert loader.stdout
    bad = [independent("a") | {"key_properties": ["nope"]}, record("a", id=1)]
    loader.stdin.write(lines([state(), *bad, independent("b"), *records("b", 1), state(a=1, b=1)]))
    loader.stdin.flush()
    assert loader.stdout.readline() == '{"bookmarks": {}}\n'
    loader.send_signal(signal.SIGTERM)

    out, _ = loader.communicate(timeout=60)

    assert loader.returncode == 128 + signal.SIGTERM
    assert '"a"' not in out


class Source:
    """Rows of three streams, sent from the bookmarks of a state on; each row's id is its place."""

    def __init__(self, chunks: list[tuple[str, int]]) -> None:
        self.chunks = chunks

    def count(self, stream: str) -> int:
        return sum(size for name, size in self.chunks if name == stream)

    def messages(self, start: dict[str, int], fault: tuple[int, str] | None) -> Messages:
        """What a tap sends that was given these bookmarks.

        Args:
            start: how many rows of each stream were loaded.
            fault: the number of a chunk whose stream fails there, and how.
        """
        done = {name: start[name] for name in METHODS if name in start}
        place = dict.fromkeys(METHODS, 0)
        sent: Messages = [state(**done)]
        sent += [independent(name) for name in METHODS]
        sent += [activate(1, "whole")] if start.get("whole", 0) < self.count("whole") else []
        for number, (name, size) in enumerate(self.chunks):
            rows = range(place[name], place[name] + size)
            place[name] += size
            if place[name] <= start.get(name, 0):
                continue
            if fault and number == fault[0]:
                sent += self._broken(name, fault[1])
            version = 1 if name == "whole" else None
            sent += [record(name, version, id=row, name="a") for row in rows]
            if name == "whole" and place[name] == self.count("whole"):
                sent.append(activate(1, "whole"))
            done[name] = place[name]
            sent.append(state(**done))
        return sent

    def _broken(self, name: str, kind: str) -> Messages:
        version = 1 if name == "whole" else None
        if kind == "record":
            return [record(name, version, id="x", name="a")]
        if kind == "key":
            return [independent(name) | {"key_properties": ["name"]}]
        gone = {"type": "BATCH", "stream": name, "encoding": {"format": "parquet"}}
        return [gone | {"manifest": ["file:///gone.parquet"]}]


chunks = st.lists(
    st.tuples(st.sampled_from(sorted(METHODS)), st.integers(1, 3)), min_size=3, max_size=9
)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    chunks,
    st.integers(0, 8),
    st.sampled_from(["record", "key", "batch"]),
    st.sampled_from([0.001, 300]),
)
def test_whatever_fails_the_next_run_brings_the_rest(
    warehouse: Warehouse,
    sizes: list[tuple[str, int]],
    place: int,
    kind: str,
    seconds: float,
) -> None:
    """Streams of every method, one of which fails anywhere: nothing is lost, nothing doubled."""
    source = Source(sizes)
    fault = (place % len(sizes), kind)
    refused = sizes[fault[0]][0]
    own = replace(warehouse, config={**warehouse.config, "schema": f"R{uuid4().hex.upper()}"})
    config = {
        "streams": STREAMS,
        "commit_seconds": seconds,
        "commit_mebibytes": 1,
    }

    states, error = run(own, source.messages({}, fault), **config)
    others = {name: ids(own, name) for name in METHODS if name != refused}
    _, second_error = run(own, source.messages(states[-1]["bookmarks"], None), **config)

    assert error is not None
    assert second_error is None
    for name, found in others.items():
        assert found == list(range(source.count(name)))
    for name in METHODS:
        assert ids(own, name) == list(range(source.count(name)))


def run(warehouse: Warehouse, messages: Messages, **config: Any) -> tuple[list[Any], str | None]:
    """The states that came out, and what went wrong; in this process, as there are many runs."""
    target = TargetSnowflake(config={**warehouse.config, **config})
    output, error = io.StringIO(), None
    with contextlib.redirect_stdout(output):
        try:
            target.listen(io.StringIO(lines(messages)))
        except LoadError as found:
            target.abandon()
            error = str(found)
    return [json.loads(line) for line in output.getvalue().splitlines()], error
