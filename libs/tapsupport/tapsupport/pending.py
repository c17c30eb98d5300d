"""A run's own directory for batch files, and how far a tap may run ahead of its loader.

The loader deletes a file as soon as it has it, so the files that exist are those being written and
those it has still to take. A tap that opens no new one while there are `max_pending_files` keeps
the disk bounded however big a table is.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import re
import select
import shutil
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING

from tapsupport.errors import ReaderGoneError, TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)

SUFFIX = ".parquet"
LOCK = ".lock"  # locked while its tap lives; holds the process id of that tap's parent
POLL_SECONDS = 0.05
LOG_SECONDS = 60.0
KEEP_SECONDS = 24 * 3600.0  # how long a dead run's files stay while its parent still lives


class RunDirectory:
    """`<root>/<tap name>-<start>-<process id>/`, where one run of one tap keeps its files.

    Making one also removes what earlier runs left under the same root: directories whose tap has
    ended, unless its parent lives (Meltano or the shell, which the loader shares) and there are
    files that are less than a day old. Those a loader may still be reading.
    """

    def __init__(self, root: Path, tap_name: str, max_pending_files: int) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TapError(
                f"Making {root} for batch files failed: {error.strerror}. "
                "Set another root in batch_config."
            ) from error
        remove_leftovers(root, tap_name)
        self._run_id = f"{time.time_ns()}-{os.getpid()}"
        self.path = root.resolve() / f"{tap_name}-{self._run_id}"
        self._max_pending_files = max_pending_files
        self._parent = os.getppid()
        self._files = 0
        self._changing = threading.Lock()
        self._reserved: set[Path] = set()
        self._handed_over: list[Path] = []
        self.path.mkdir()
        weakref.finalize(self, _locked(self.path / LOCK, self._parent).close)

    def new_file(self, stream: str, meanwhile: Callable[[], None]) -> Path:
        """Return a path that no other file has, once fewer than `max_pending_files` exist.

        The file counts from now on, until the loader was told of it and has taken it, or until it
        is given up.

        Args:
            stream: The stream's name, which the path contains.
            meanwhile: Called again and again during a wait; may raise to end it. It must hand over
                what is whole: the loader cannot take a file that it was not told of.

        Raises:
            ReaderGoneError: nobody reads standard output any more, or the parent has ended.
        """
        next_log = time.monotonic() + LOG_SECONDS
        while (path := self._reserve(stream)) is None:
            meanwhile()
            if os.getppid() != self._parent or reader_has_gone():
                raise ReaderGoneError(
                    f"Waiting for the loader to take files from {self.path} is of no use: "
                    "it has ended. Look at its log for the reason, then run again."
                )
            if time.monotonic() >= next_log:
                logger.info("Waiting for the loader to take files from %s.", self.path)
                next_log += LOG_SECONDS
            time.sleep(POLL_SECONDS)
        return path

    def hand_over(self, path: Path) -> None:
        """Note that the loader is told of a file, which must exist: it counts until it is gone."""
        with self._changing:
            self._reserved.discard(path)
            self._handed_over.append(path)

    def give_up(self, paths: Iterable[Path]) -> None:
        """Remove files that the loader was not told of, whether they were made yet or not."""
        with self._changing:
            for path in paths:
                self._reserved.discard(path)
                path.unlink(missing_ok=True)

    def _reserve(self, stream: str) -> Path | None:
        with self._changing:
            self._handed_over = [path for path in self._handed_over if path.exists()]
            if len(self._handed_over) + len(self._reserved) >= self._max_pending_files:
                return None
            self._files += 1
            safe = re.sub(r"[^A-Za-z0-9_.-]", "_", stream)
            path = self.path / f"{safe}-{self._run_id}-{self._files:05d}{SUFFIX}"
            self._reserved.add(path)
            return path


def remove_leftovers(root: Path, tap_name: str) -> None:
    """Remove the directories of this tap's runs that nobody will read any more."""
    for lock in root.glob(f"{tap_name}-*/{LOCK}"):
        with lock.open("r+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its tap is alive
            parent = handle.read().strip()
            is_old = time.time() - lock.stat().st_mtime > KEEP_SECONDS
            is_empty = not any(lock.parent.glob(f"*{SUFFIX}"))
            if is_old or is_empty or not _is_alive(parent):
                logger.info("Removing %s, which an earlier run has left.", lock.parent)
                shutil.rmtree(lock.parent, ignore_errors=True)


def reader_has_gone() -> bool:
    """Tell whether the other end of standard output, if it is a pipe, was closed."""
    try:
        descriptor = sys.stdout.fileno()
    except io.UnsupportedOperation:
        return False  # captured in memory, as tests do
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are always reported
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


def _locked(path: Path, parent: int) -> io.TextIOWrapper:
    handle = path.open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    handle.write(str(parent))
    handle.flush()
    return handle


def _is_alive(process_id: str) -> bool:
    if not process_id:
        return True  # its tap is just starting, between making the file and locking it
    try:
        os.kill(int(process_id), 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
