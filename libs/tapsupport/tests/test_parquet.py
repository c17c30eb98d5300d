"""Batch files: whole, in order, of the size asked for, with the progress they reach."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapsupport.errors import TapError
from tapsupport.parquet import FinishedFile, ParquetFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = pa.schema([("n", pa.int64()), ("noise", pa.binary())])


def batch(first: int, rows: int, width: int = 8) -> pa.RecordBatch:
    """Rows that do not compress."""
    noise = [os.urandom(width) for _ in range(rows)]
    return pa.RecordBatch.from_arrays(
        [pa.array(range(first, first + rows), pa.int64()), pa.array(noise, pa.binary())],
        schema=SCHEMA,
    )


def paths(folder: Path) -> Callable[[], Path]:
    numbers = count()
    return lambda: folder / f"{next(numbers):05d}.parquet"


def rows_of(file: FinishedFile) -> list[int]:
    return list(pq.read_table(file.path)["n"].to_pylist())


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.integers(0, 40) | st.just("mark"), max_size=30),
    file_bytes=st.integers(1, 3000),
)
def test_rows_and_progress(tmp_path: Path, steps: list[Any], file_bytes: int) -> None:
    """Every row once, in order; a file's progress never passes the rows sent so far."""
    written = 0
    found: list[FinishedFile] = []
    marks: set[int] = set()
    with ParquetFiles(SCHEMA, paths(tmp_path), file_bytes) as files:
        for step in steps:
            if step == "mark":
                files.mark(written)
                marks.add(written)
            else:
                files.write(batch(written, step))
                written += step
            found += files.finished()
        found += files.close()

    assert [n for file in found for n in rows_of(file)] == list(range(written))
    sent = 0
    for file in found:
        sent += file.rows
        assert file.progress is None or (file.progress <= sent and file.progress in marks)


def test_a_file_ends_at_a_mark(tmp_path: Path) -> None:
    """So that the progress it carries is exactly what was sent."""
    with ParquetFiles(SCHEMA, paths(tmp_path), 40_000) as files:
        for stretch in range(6):
            for part in range(4):
                files.write(batch(stretch * 400 + part * 100, 100, width=100))
            files.mark(stretch)
        found = list(files.close())

    assert [(file.rows, file.progress) for file in found] == [(1200, 2), (1200, 5)]


def test_rows_without_a_mark_are_cut(tmp_path: Path) -> None:
    """A table that is one part still makes files of the size asked for."""
    with ParquetFiles(SCHEMA, paths(tmp_path), 1 << 20) as files:
        for first in range(0, 400, 10):
            files.write(batch(first, 10, width=1 << 20))
        found = list(files.close())

    assert len(found) > 5
    assert {file.progress for file in found} == {None}
    assert sum(file.rows for file in found) == 400


def test_only_whole_files_have_their_name(tmp_path: Path) -> None:
    """What an error leaves behind is removed, and files nobody was told of."""

    def fail_half_way() -> None:
        with ParquetFiles(SCHEMA, paths(tmp_path), 10) as files:
            files.write(batch(0, 1000))
            files.mark(1)
            files.write(batch(1000, 70_000))
            raise RuntimeError("the reader failed")

    with pytest.raises(RuntimeError, match="the reader failed"):
        fail_half_way()

    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_thread_reaches_the_caller(tmp_path: Path) -> None:
    """And the caller never waits for a thread that gave up."""
    missing = tmp_path / "missing" / "file.parquet"

    def write_on() -> None:
        with ParquetFiles(SCHEMA, lambda: missing, 10) as files:
            for first in range(100):
                files.write(batch(first, 70_000))

    with pytest.raises(TapError, match=r"Writing a batch file failed: No such file"):
        write_on()


def test_zstd_without_zone_loss(tmp_path: Path) -> None:
    """The contract's types come back as they went in."""
    schema = pa.schema([("at", pa.timestamp("us", tz="UTC")), ("d", pa.decimal128(38, 9))])
    with ParquetFiles(schema, paths(tmp_path), 10) as files:
        files.write(pa.RecordBatch.from_pylist([{"at": 0, "d": 1}], schema=schema))
        (file,) = files.close()

    assert pq.read_schema(file.path).equals(schema)
    assert pq.read_metadata(file.path).row_group(0).column(0).compression == "ZSTD"
