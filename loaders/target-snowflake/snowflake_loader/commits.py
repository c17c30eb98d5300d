"""Commits: the rows of one or several streams, their ledger entries and the state, together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snowflake_loader.errors import LoadError, RunError, WarehouseError
from snowflake_loader.faults import Point, reach
from snowflake_loader.load import NeedsHelperError
from snowflake_loader.names import LOADS, literal
from snowflake_loader.stored_states import STARTED_FROM, marked, marker_of
from snowflake_loader.warehouse import CommitUnansweredError, Transaction, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from snowflake_loader.ledger import LedgerEntry
    from snowflake_loader.load import Commit, TableLoad
    from snowflake_loader.records import Rejected
    from snowflake_loader.state import StateTracker, WaitingState
    from snowflake_loader.workers import Workplace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """What one stream has to commit.

    Attributes:
        load: Gives the stream's table; known only in the thread that commits.
        commit: What is asked for.
        rejected: Records set aside since the last commit.
        covered: How many of the stream's messages are in the warehouse after it; None if they
            cover no state yet.
        is_cut: Whether what came after the last mark is left out.
        is_exact: Whether its rows, sent twice, would stand twice.
        is_refused: Tells whether the stream was set aside since.
    """

    load: Callable[[], TableLoad]
    commit: Commit
    rejected: list[Rejected]
    covered: int | None
    is_refused: Callable[[], bool]
    is_cut: bool = False
    is_exact: bool = False


def commit_together(place: Workplace, parts: Sequence[Part], states: StateTracker) -> None:
    """Commit every part in one transaction, with the newest state that it covers.

    Parts of streams that were set aside are left out.

    Raises:
        LoadError: the rows of an earlier run are gone, or this run began with an old state.
        LeaseError: another run has taken the lease.
        WarehouseError: Snowflake refused a statement; every table is as it was before.
    """
    parts = [part for part in parts if not part.is_refused()]
    for part in parts:
        load = part.load()
        load.rejected += part.rejected
        if part.is_cut:
            load.cut()
    working = [part for part in parts if part.load().has_work(part.commit)]
    covered = {part.load().stream: part.covered for part in parts if part.covered is not None}
    if working:
        state = states.covered_by(covered)
        for entry in _commit(place, working, state):
            logger.info("%s: %s", entry.stream, entry.summary)
    reach(Point.COMMITTED)
    try:
        for part in parts:
            part.load().clean_up(part.commit)
    except LoadError as error:
        error.ends_run = True  # the rows are in, so that the stream's old bookmark is none any more
        raise
    states.commit(covered)


def _commit(
    place: Workplace, parts: Sequence[Part], state: WaitingState | None
) -> list[LedgerEntry]:
    if any(part.is_exact for part in parts):
        _refuse_old_start(place, state)
    helpers = {part.load().stream: part.load().open_helper(part.commit) for part in parts}
    while True:
        try:
            return _transact(place, parts, helpers, state)
        except NeedsHelperError as needed:
            part = next(part for part in parts if part.load().stream == needed.stream)
            helpers[needed.stream] = part.load().pending_helper(part.commit)


def _transact(
    place: Workplace,
    parts: Sequence[Part],
    helpers: dict[str, str | None],
    state: WaitingState | None,
) -> list[LedgerEntry]:
    entries: list[LedgerEntry] = []
    try:
        with Transaction(place.session):
            for part in parts:
                load = part.load()
                entries.append(load.apply(part.commit, helpers[load.stream]))
            _store(place, state)
            if place.lease:
                place.lease.fence(place.session, place.seat)
    except CommitUnansweredError as error:
        _say_whether_committed(place, entries, error)
    return entries


def _store(place: Workplace, state: WaitingState | None) -> None:
    """Write the state beside the rows that it covers, where the warehouse keeps states."""
    if place.lease and place.lease.states and state:
        sequence = place.lease.sequence(state.number)
        for insert in place.lease.states.insert(sequence, marked(state.value), place.run_id):
            place.session.execute(insert, "storing the state")


def _refuse_old_start(place: Workplace, state: WaitingState | None) -> None:
    """Rows that an earlier run committed after this one had read its state would come twice."""
    if not (place.lease and state):
        return
    started_from = marker_of(state.value, STARTED_FROM)
    if started_from is not None and started_from < place.lease.last_sequence:
        raise RunError(
            "This run read its state while another was still loading, and would load some of that "
            "run's rows once more. Nothing was loaded; start it again."
        )


def _say_whether_committed(
    place: Workplace, entries: Sequence[LedgerEntry], error: CommitUnansweredError
) -> None:
    """Ask the ledger about a commit whose answer was lost; return if it is there.

    Raises:
        WarehouseError: it is not, or that could not be found out.
    """
    ledger = place.tables.reference(LOADS)
    session = connect(place.config, place.run_id)
    try:
        found = session.execute(
            f"SELECT COUNT(*) AS N FROM {ledger} WHERE LOAD_ID = {literal(entries[0].load_id)}",
            "asking the ledger for a commit whose answer was lost",
        )
    finally:
        session.close()
    if not int(found[0]["N"]):
        raise WarehouseError(str(error)) from error
    logger.warning(
        "The answer to a commit was lost, but the ledger has its load %s: it is in the warehouse "
        "and will not be applied again.", entries[0].load_id,
    )  # fmt: skip
