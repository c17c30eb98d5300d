"""Parquet files on local disk, written in a thread of their own while records are decoded."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from uuid import uuid4

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from snowflake_loader.errors import LoadError, RunError
from snowflake_loader.faults import Point, reach

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

P = ParamSpec("P")
R = TypeVar("R")

COMPRESSION_LEVEL = 1  # zstd: a higher level costs more time than the smaller upload saves
TABLES_AHEAD = 2  # tables that may wait to be written; bounds memory
PREFIX = "target-snowflake-"


@dataclass(frozen=True)
class DataFile:
    """A finished Parquet file."""

    path: Path
    rows: int


class WorkDirectory:
    """A folder for this process's files; those of processes that died are removed.

    Raises:
        LoadError: it cannot be made.
    """

    def __init__(self, parent: str | None) -> None:
        root = parent or tempfile.gettempdir()
        try:
            self.path = self._made_in(Path(root).expanduser())
        except (OSError, RuntimeError, ValueError) as error:  # also no such home, no such character
            found = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise LoadError(
                f"No folder for files can be made in {root}: {found}. Correct work_directory."
            ) from error

    @staticmethod
    def _made_in(root: Path) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{PREFIX}*"):
            number = left.name.removeprefix(PREFIX).partition("-")[0]
            if number.isdigit() and not psutil.pid_exists(int(number)):
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=root))

    def new_file(self) -> Path:
        """Return a path that no other file has."""
        return self.path / f"{uuid4().hex}.parquet"

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class FileWriter:
    """Writes one stream's tables to Parquet files, in order, in the shared writer thread."""

    def __init__(self, directory: WorkDirectory, thread: ThreadPoolExecutor) -> None:
        self._directory = directory
        self._thread = thread
        self._waiting: deque[Future[None]] = deque()
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._path: Path | None = None
        self._rows = 0

    @property
    def is_open(self) -> bool:
        return self._schema is not None

    @property
    def bytes_written(self) -> int:
        """Compressed bytes in the open file so far."""
        path = self._path
        return path.stat().st_size if path and path.exists() else 0

    def fits(self, table: pa.Table) -> bool:
        """Whether the table has the columns of the open file, or none is open."""
        return self._schema is None or self._schema.equals(table.schema)

    def write(self, table: pa.Table) -> None:
        """Add a table to the open file; errors surface here or in `close`, a little later."""
        self._schema = table.schema
        while len(self._waiting) >= TABLES_AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(reporting_full_disk(self._write), table))

    def close(self) -> Future[DataFile]:
        """Finish the open file; the future gives it once all its tables are written."""
        self._schema = None
        waiting = list(self._waiting)
        self._waiting.clear()
        return self._thread.submit(reporting_full_disk(self._close), waiting)

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._path, self._rows = self._directory.new_file(), 0
            self._writer = open_writer(self._path, table.schema)
        self._writer.write_table(table)
        self._rows += table.num_rows

    def _close(self, waiting: list[Future[None]]) -> DataFile:
        for written in waiting:
            written.result()
        assert self._writer is not None  # noqa: S101 - close follows a write
        assert self._path is not None  # noqa: S101
        self._writer.close()
        self._writer = None
        reach(Point.FILE_WRITTEN)
        return DataFile(self._path, self._rows)


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file in the way that Snowflake reads fastest and exactly."""
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=COMPRESSION_LEVEL, version="2.6"
    )


def reporting_full_disk(write: Callable[P, R]) -> Callable[P, R]:
    """Turn the system's error for a full disk into a sentence that names the setting."""

    @functools.wraps(write)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return write(*args, **kwargs)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise RunError(
                    "A file of rows could not be written: the disk is full, or a file may not grow "
                    "so large. Free space, point work_directory to a larger disk, or lower "
                    "file_mebibytes; then run again."
                ) from error
            raise

    return reporting
