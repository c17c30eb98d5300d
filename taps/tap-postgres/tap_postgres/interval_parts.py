"""The parts that the rows of an interval are read in, and where one that was cut short goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_postgres.interval import Interval, parse_moment
from tap_postgres.reading import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_postgres.manifest_loads import ManifestSource
    from tap_postgres.reading import Reader, State
    from tap_postgres.table import Table


def interval_parts(
    reader: Reader,
    source: ManifestSource,
    table: Table,
    state: State,
    pieces: Iterable[tuple[Interval, State]],
) -> Iterator[Part]:
    """One part for each piece of an interval, or ranges of the key once a replica cancelled that.

    Ranges are read in several snapshots. A row that is changed in between gets a later stamp, so
    the next interval brings it.

    Args:
        reader: Where the bounds come from.
        source: The manifest's table.
        table: The same as the tap sees it.
        state: Where to begin; `unfinished_interval` is then the first piece.
        pieces: Each with the state once it, and all before it, were sent.
    """
    key = table.key_columns(table.key)
    unfinished = unfinished_interval(table, state)
    before = {name: value for name, value in state.items() if name != "range"}
    for piece, sent in pieces:
        query = source.within(piece)
        after = tuple(state["range"]["after"]) if piece == unfinished else None
        ends = {"from": piece.begin.isoformat(), "to": piece.end.isoformat()}
        for part in reader.smaller(query, key, after):
            place = {**ends, "key": list(table.key), "after": list(part.until or ())}
            progress = {**before, "range": place} if part.until else sent
            yield Part(query, part.conditions(), progress)
        before = sent


def unfinished_interval(table: Table, state: State) -> Interval | None:
    """The piece of which a part was sent, when it can be gone on with by the table's key."""
    place = state.get("range", {})
    if not {"from", "to", "after"} <= place.keys() or place.get("key") != list(table.key):
        return None
    name = f"The state of {table.label}"
    return Interval(parse_moment(place["from"], name), parse_moment(place["to"], name))
