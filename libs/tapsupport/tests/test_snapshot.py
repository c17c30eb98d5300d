"""Snapshot markers around a stream's rows."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import Stream
from typing_extensions import override

from tapsupport.process import ManneredTap
from tapsupport.snapshot import snapshot, snapshot_version
from tapsupport.testing import SyncResult, parse_messages, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator


class Planks(Stream):
    """Three rows inside a snapshot; the third fails when asked to."""

    name = "planks"
    schema = {"type": "object", "properties": {"id": {"type": ["integer"]}}}  # noqa: RUF012 - the SDK's
    emit_activate_version_messages = False

    @override
    def get_records(self, context: Any) -> Iterator[dict[str, Any]]:
        version = snapshot_version(self.stream_state)
        with snapshot(self, version):
            self.stream_state["version"] = version
            yield {"id": 1}
            yield {"id": 2}
            if self.config.get("fail"):
                raise RuntimeError("the source failed")
        self.stream_state.clear()


class TapPlanks(ManneredTap):
    name = "tap-planks"

    def discover_streams(self) -> list[Stream]:
        return [Planks(tap=self)]


def failed_run() -> SyncResult:
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(output), pytest.raises(RuntimeError):
        TapPlanks(config={"fail": True}).sync_all()
    return parse_messages(output.buffer.getvalue())


def test_a_whole_snapshot_has_both_markers() -> None:
    """And leaves nothing in the state to resume."""
    result = run_tap(TapPlanks, {})

    assert [m["type"] for m in result.messages] == [
        "SCHEMA",
        "ACTIVATE_VERSION",
        "RECORD",
        "RECORD",
        "ACTIVATE_VERSION",
        "STATE",
    ]
    assert len({m["version"] for m in result.messages if "version" in m}) == 1
    assert result.state == {"bookmarks": {"planks": {}}}


def test_a_failed_snapshot_is_never_activated_at_its_end() -> None:
    """The loader keeps the old rows."""
    assert len(failed_run().of_type("ACTIVATE_VERSION")) == 1


def test_the_version_in_the_state_is_kept() -> None:
    """What an unfinished run sent is published together with the rest."""
    result = run_tap(TapPlanks, {}, state={"bookmarks": {"planks": {"version": 42}}})

    assert {m["version"] for m in result.of_type("ACTIVATE_VERSION")} == {42}
    assert {m["version"] for m in result.of_type("RECORD")} == {42}
