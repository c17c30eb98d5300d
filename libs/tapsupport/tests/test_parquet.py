"""Batch files: whole, in order, of the size asked for."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

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
@given(batches=st.lists(st.integers(0, 40), max_size=30), file_bytes=st.integers(1, 3000))
def test_rows_once_and_in_order(tmp_path: Path, batches: list[int], file_bytes: int) -> None:
    """Whatever the sizes of batches and files."""
    written = 0
    found: list[FinishedFile] = []
    with ParquetFiles(SCHEMA, paths(tmp_path), found.append, file_bytes) as files:
        for rows in batches:
            files.write(batch(written, rows))
            written += rows

    assert [n for file in found for n in rows_of(file)] == list(range(written))
    assert sum(file.rows for file in found) == written
    assert all(file.rows for file in found)


def test_files_are_cut(tmp_path: Path) -> None:
    """At the size asked for, or not at all."""
    cut: list[FinishedFile] = []
    whole: list[FinishedFile] = []
    with (
        ParquetFiles(SCHEMA, paths(tmp_path), cut.append, 1 << 20) as files,
        ParquetFiles(SCHEMA, paths(tmp_path / ".."), whole.append, None) as one_file,
    ):
        for first in range(0, 400, 10):
            files.write(batch(first, 10, width=1 << 20))
            one_file.write(batch(first, 10, width=1 << 10))

    assert len(cut) > 5
    assert sum(file.rows for file in cut) == 400
    assert [file.rows for file in whole] == [400]


def test_a_file_is_whole_when_it_is_given_away(tmp_path: Path) -> None:
    """Under its final name, with all its rows, and before the next one is opened."""
    seen = []

    def done(file: FinishedFile) -> None:
        seen.append((rows_of(file), [path.suffix for path in tmp_path.iterdir()]))
        file.path.unlink()

    with ParquetFiles(SCHEMA, paths(tmp_path), done, 1) as files:
        files.write(batch(0, 70_000))
        files.write(batch(70_000, 1))

    assert [(len(rows), suffixes) for rows, suffixes in seen] == [
        (70_000, [".parquet"]),
        (1, [".parquet"]),
    ]


def test_only_whole_files_have_their_name(tmp_path: Path) -> None:
    """What an error leaves behind in the middle of a file is removed."""
    found: list[FinishedFile] = []

    def fail_half_way() -> None:
        with ParquetFiles(SCHEMA, paths(tmp_path), found.append, None) as files:
            files.write(batch(0, 70_000))
            raise RuntimeError("the reader failed")

    with pytest.raises(RuntimeError, match="the reader failed"):
        fail_half_way()

    assert found == []
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_thread_reaches_the_caller(tmp_path: Path) -> None:
    """And the caller never waits for a thread that gave up."""
    missing = tmp_path / "missing" / "file.parquet"

    def write_on(batches: int) -> None:
        with ParquetFiles(SCHEMA, lambda: missing, print, 10) as files:
            for first in range(batches):
                files.write(batch(first, 70_000))

    for batches in (1, 100):
        with pytest.raises(TapError, match=r"Writing a batch file failed: No such file"):
            write_on(batches)


def test_zstd_without_zone_loss(tmp_path: Path) -> None:
    """The contract's types come back as they went in."""
    schema = pa.schema([("at", pa.timestamp("us", tz="UTC")), ("d", pa.decimal128(38, 9))])
    found: list[FinishedFile] = []
    with ParquetFiles(schema, paths(tmp_path), found.append, 10) as files:
        files.write(pa.RecordBatch.from_pylist([{"at": 0, "d": 1}], schema=schema))

    (file,) = found
    assert pq.read_schema(file.path).equals(schema)
    assert pq.read_metadata(file.path).row_group(0).column(0).compression == "ZSTD"
