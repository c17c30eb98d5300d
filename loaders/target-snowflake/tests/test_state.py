"""A state goes out only when every row that came before it is committed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from snowflake_loader.state import STATES_KEPT, StateTracker, WaitingState

steps = st.lists(
    st.one_of(
        st.tuples(st.just("row"), st.sampled_from("abc")),
        st.tuples(st.just("state"), st.none()),
        st.tuples(st.just("commit"), st.sampled_from("abc")),
    ),
    max_size=60,
)


@given(steps)
def test_no_state_is_ahead_of_any_streams_rows(steps: list[tuple[str, str | None]]) -> None:
    """A state is the rows received of each stream, so what goes out can be compared."""
    written: list[WaitingState] = []
    tracker = StateTracker(written.append)
    received, committed = dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    last: dict[str, Any] = {}
    for step, stream in steps:
        if step == "row" and stream:
            received[stream] += 1
            tracker.receive(stream)
        elif step == "state":
            last = dict(received)
            tracker.wait_for(last)
        elif stream:
            committed[stream] = received[stream]
            tracker.commit({stream: received[stream]})
        for state in written:
            assert all(committed[name] >= count for name, count in state.value.items())
    would_go_out = tracker.covered_by(received)
    tracker.commit(received)

    assert (written[-1].value if written else {}) == last
    assert would_go_out in (None, written[-1] if written else None)


def test_the_newest_state_survives_when_many_wait() -> None:
    """Memory stays bounded however often a tap sends STATE, and none that matters is lost."""
    written: list[WaitingState] = []
    tracker = StateTracker(written.append)
    tracker.receive("a")
    for number in range(STATES_KEPT * 3):
        tracker.wait_for({"bookmarks": {"a": number}})

    tracker.commit({"a": 1})

    assert [state.value for state in written] == [{"bookmarks": {"a": STATES_KEPT * 3 - 1}}]


def test_a_state_up_to_which_rows_are_committed_is_never_forgotten() -> None:
    written: list[WaitingState] = []
    tracker = StateTracker(written.append)
    tracker.receive("a")
    kept = tracker.wait_for({"bookmarks": {"a": 1}})
    tracker.keep(kept)
    tracker.receive("a")
    for number in range(STATES_KEPT * 3):
        tracker.wait_for({"bookmarks": {"a": 2, "number": number}})

    tracker.commit({"a": 1})

    assert [state.value for state in written] == [{"bookmarks": {"a": 1}}]
