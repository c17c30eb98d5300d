"""Snapshot markers: ACTIVATE_VERSION at both ends of a FULL_TABLE stream.

The SDK sends ACTIVATE_VERSION before the first record only. A loader that publishes a snapshot as
a whole must also learn that the last record has been sent: the second marker says so.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib.messages import ActivateVersionMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from singer_sdk import Stream

VERSION = "version"  # the key in the stream's state
SLICES = "x-slices"  # a keyword that the loader knows


def snapshot_version(state: Mapping[str, Any]) -> int:
    """Return the version of the snapshot that `state` is in the middle of, else a new one.

    A run that resumes keeps the version, so that what both runs sent is published together. A new
    one is the time now, in milliseconds.
    """
    return int(state.get(VERSION) or time.time_ns() // 1_000_000)


@contextmanager
def snapshot(stream: Stream, version: int, slices: Sequence[str] = ()) -> Iterator[None]:
    """Send the markers around whatever the body sends.

    Args:
        stream: Whose snapshot it is.
        version: Larger than that of any snapshot before.
        slices: For replace-slice: values of the slice column that are replaced though no row may
            come for them, because the source has none any more.

    The body puts the version into the stream's state as soon as its progress is worth resuming.
    When the body ends well, the second marker is sent, and the caller empties the state; when it
    raises, neither happens.

    The stream's own `emit_activate_version_messages` must be false.
    """
    stream._stream_version = version  # noqa: SLF001 - where the SDK's RECORD messages look for it
    if slices:
        _announce(stream, slices)
    _activate(stream, version)
    yield
    _activate(stream, version)


def _announce(stream: Stream, slices: Sequence[str]) -> None:
    for message in stream._generate_schema_messages():  # noqa: SLF001 - the SDK offers no other way
        message.schema = {**message.schema, SLICES: list(slices)}
        stream._tap.write_message(message)  # noqa: SLF001 - likewise


def _activate(stream: Stream, version: int) -> None:
    for stream_map in stream.stream_maps:
        if not isinstance(stream_map, RemoveRecordTransform):
            stream._tap.write_message(  # noqa: SLF001 - the SDK offers no other way
                ActivateVersionMessage(stream=stream_map.stream_alias, version=version)
            )
