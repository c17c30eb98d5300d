"""Which kills there are: every named boundary, and random moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reliability.freezing_loader import Moment
from reliability.pipeline import Kill
from snowflake_loader.faults import Point

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FEW = 4  # a point is struck at one of its first so many times
LEASES_COMMITS = 1  # come before those of rows
LONGEST_SHARE = 1.1  # of an undisturbed run's time, within which a random moment lies


def boundaries() -> list[str]:
    """The names of all boundaries, in the order of a row's way."""
    return list(_BOUNDARIES)


def kill_at(boundary: str, chance: random.Random, messages: int, seconds: float) -> Kill:
    """Return a kill at a boundary, somewhere in a run.

    Args:
        boundary: one of `boundaries`.
        chance: decides where in the run.
        messages: of an undisturbed run.
        seconds: that an undisturbed run takes.
    """
    return _BOUNDARIES[boundary](boundary, chance, messages, seconds)


def _point(point: Point) -> Callable[[str, random.Random, int, float], Kill]:
    def make(name: str, chance: random.Random, _messages: int, _seconds: float) -> Kill:
        return Kill(name, fault=f"{point}:{chance.randint(1, FEW)}")

    return make


def _cut(when: str, word: str, skip: int = 0) -> Callable[[str, random.Random, int, float], Kill]:
    def make(name: str, chance: random.Random, _messages: int, _seconds: float) -> Kill:
        return Kill(name, warehouse={when: word, "skip": skip + chance.randint(0, FEW - 1)})

    return make


def _tap_sent(name: str, chance: random.Random, messages: int, _seconds: float) -> Kill:
    return Kill(name, tap_at=chance.randint(1, messages))


def _loader_received(name: str, chance: random.Random, messages: int, _seconds: float) -> Kill:
    return Kill(name, loader_at=chance.randint(1, messages))


def _state_lost(name: str, chance: random.Random, messages: int, _seconds: float) -> Kill:
    return Kill(name, tap_at=chance.randint(1, messages), forgets_states=True)


def _frozen(moment: Moment) -> Callable[[str, random.Random, int, float], Kill]:
    def make(name: str, chance: random.Random, _messages: int, _seconds: float) -> Kill:
        return Kill(name, freeze=f"{moment}:{chance.randint(1, FEW)}")

    return make


def _draining(name: str, chance: random.Random, messages: int, _seconds: float) -> Kill:
    return Kill(name, stop_at=chance.randint(1, messages), fault=f"{Point.DRAINING}:1")


def _committed_in_drain(name: str, chance: random.Random, messages: int, _s: float) -> Kill:
    return Kill(name, stop_at=chance.randint(1, messages), fault=f"{Point.COMMITTED}:1")


def _moment(*victims: str) -> Callable[[str, random.Random, int, float], Kill]:
    def make(name: str, chance: random.Random, _messages: int, seconds: float) -> Kill:
        return Kill(name, after=chance.uniform(0, seconds * LONGEST_SHARE), victims=victims)

    return make


_BOUNDARIES: dict[str, Callable[[str, random.Random, int, float], Kill]] = {
    "message sent (tap)": _tap_sent,
    "message received (loader)": _loader_received,
    "file written": _point(Point.FILE_WRITTEN),
    "file uploaded": _point(Point.FILE_UPLOADED),
    "COPY": _point(Point.COPIED),
    "connection cut as the lease is taken": _cut("cut_after", "_LEASES"),
    "connection cut before COPY": _cut("cut_before", "COPY INTO"),
    "MERGE": _point(Point.MERGED),
    "connection cut before MERGE": _cut("cut_before", "MERGE INTO"),
    "old rows deleted": _point(Point.ROWS_DELETED),
    "ledger written": _point(Point.LEDGER_WRITTEN),
    "frozen before it looks at its lease, thawed after another run": _frozen(Moment.ROWS),
    "frozen before COMMIT, thawed after another run": _frozen(Moment.LEASE),
    "connection cut before COMMIT": _cut("cut_before", "COMMIT", LEASES_COMMITS),
    "COMMIT done, answer lost": _cut("cut_after", "COMMIT", LEASES_COMMITS),
    "committed": _point(Point.COMMITTED),
    "state emitted": _point(Point.STATE_EMITTED),
    "state lost on its way": _state_lost,
    "SIGTERM, then killed in the drain": _draining,
    "SIGTERM, then killed after a commit": _committed_in_drain,
    "any moment (tap)": _moment("tap"),
    "any moment (loader)": _moment("loader"),
    "any moment (both)": _moment("tap", "loader"),
}
