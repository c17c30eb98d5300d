"""Tickets, and what comes with them: metrics, audits, comments, values of custom fields."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_zendesk.client import NOT_FOUND, lacking
from tap_zendesk.exports import CursorExport, TimeExport
from tap_zendesk.stream import ZendeskStream
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.helpers.types import Context, Record

METRICS, AUDITS, COMMENTS = "ticket_metrics", "ticket_audits", "ticket_comments"
VALUES = "ticket_custom_field_values"
DELETED = "deleted"


class Tickets(CursorExport):
    """Tickets by their export; deleted ones have the status `deleted`.

    The streams that follow are sent page by page, between the tickets and the STATE, and have no
    state of their own: `streams` in the state of tickets says which followed. When another one is
    selected later, the history is read again for it.
    """

    name = "tickets"
    path = "/incremental/tickets/cursor.json"
    replication_key = "generated_timestamp"

    @override
    def stamp(self, record: Record) -> int:
        """zendesk.md, 5.1: start_time is compared with it and not with updated_at."""
        found = record.get("generated_timestamp")
        if not isinstance(found, int):
            raise TapError(lacking(self.path, "generated_timestamp as a number of seconds"))
        return found

    @override
    def parameters_now(self) -> dict[str, Any]:
        return {"include": "metric_sets"} if METRICS in self._followers else {}

    @override
    def extra_state(self) -> dict[str, Any]:
        return {"streams": sorted(self._following)}

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for follower in self._followers.values():
            follower.announce()
        known = self.stream_state.get("streams")
        if known is not None and (new := self._following - set(known)):
            self.logger.warning("Reading all tickets again, for %s.", ", ".join(sorted(new)))
            self.stream_state.clear()
        yield from super().get_records(context)

    @override
    def pages(self, state: dict[str, Any]) -> Iterator[tuple[list[Record], dict[str, Any]]]:
        for records, progress in super().pages(state):
            yield [r for r in records if not self._tap.privacy.leaves_out(r)], progress

    @override
    def generate_child_contexts(self, record: Record, context: Context | None) -> Iterable[None]:
        return ()  # the SDK would read the children one ticket at a time

    @override
    def finish_page(self, records: list[Record]) -> None:
        alive = [record for record in records if record.get("status") != DELETED]
        if METRICS in self._followers:
            self._followers[METRICS].send(self._metrics(alive))
        if VALUES in self._followers:
            self._followers[VALUES].send(self._values(records))
        if AUDITS in self._followers or COMMENTS in self._followers:
            self._send_audits(alive)

    @cached_property
    def _followers(self) -> dict[str, ZendeskStream]:
        """The selected streams whose rows come with tickets."""
        streams = self._tap.streams
        follow = {METRICS, AUDITS, VALUES}
        if streams[AUDITS].selected or isinstance(streams[COMMENTS], CommentsOfTickets):
            follow.add(COMMENTS)
        found = {name: streams[name] for name in follow if streams[name].selected}
        return {name: s for name, s in found.items() if isinstance(s, ZendeskStream)}

    @property
    def _following(self) -> set[str]:
        return {*self._followers, *([self.name] if self.selected else [])}

    def _metrics(self, tickets: list[Record]) -> list[Record]:
        found = [ticket["metric_set"] for ticket in tickets if ticket.get("metric_set")]
        if tickets and not found:
            raise TapError(lacking(self.path, "metric_set in the tickets"))
        return found

    def _values(self, tickets: list[Record]) -> Iterator[Record]:
        for ticket in tickets:
            for field in ticket.get("custom_fields") or ():
                title = self._titles.get(field["id"])
                yield {
                    "ticket_id": ticket["id"],
                    "field_id": field["id"],
                    "title": title,
                    "value": field.get("value"),
                }

    @cached_property
    def _titles(self) -> dict[int, str | None]:
        pages = self._tap.client.listed("/ticket_fields", "ticket_fields")
        return {field["id"]: field.get("title") for page in pages for field in page}

    def _send_audits(self, tickets: Sequence[Record]) -> None:
        """Read the audits of several tickets at once, and send them in the tickets' order."""
        executor = ThreadPoolExecutor(self.config["max_parallel"], thread_name_prefix="audits")
        try:
            for audits in executor.map(self._audits, (ticket["id"] for ticket in tickets)):
                if audits_stream := self._followers.get(AUDITS):
                    audits_stream.send(audits)
                if comments := self._followers.get(COMMENTS):
                    comments.send(row for audit in audits for row in comments_of_audit(audit))
        finally:
            executor.shutdown(cancel_futures=True)

    def _audits(self, ticket_id: int) -> list[Record]:
        """The audits of a ticket; none when it was deleted meanwhile.

        Per ticket, since the list of all audits leaves out archived tickets and can skip records
        (zendesk.md, 5.2).
        """
        path = f"/tickets/{ticket_id}/audits.json"
        return [
            record
            for page in self._tap.client.listed(path, "audits", accept=(NOT_FOUND,))
            for record in page
        ]


class FollowsTickets(ZendeskStream):
    """A stream whose rows `Tickets` sends."""

    parent_stream_type = Tickets
    state_partitioning_keys = ()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        return ()


class TicketMetrics(FollowsTickets):
    """One set of metrics for each ticket, which the export of tickets brings along."""

    name = METRICS
    replication_key = "updated_at"


class TicketAudits(FollowsTickets):
    """All audits of each ticket that changed."""

    name = AUDITS
    replication_key = "created_at"


class TicketCustomFieldValues(FollowsTickets):
    """A row for each custom field of each ticket, for views; costs no request."""

    name = VALUES
    primary_keys = ("ticket_id", "field_id")
    selected_by_default = False


class CommentsOfTickets(FollowsTickets):
    """Comments out of audits: when tickets are left out, since the other way knows no brand."""

    name = COMMENTS
    replication_key = "created_at"


class TicketComments(TimeExport):
    """Comments: out of the audits when those are read anyway, else by the export of events."""

    name = COMMENTS
    path = "/incremental/ticket_events.json"
    parameters = {"include": "comment_events"}  # noqa: RUF012 - declared a ClassVar above
    replication_key = "created_at"

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        if self._tap.streams[AUDITS].selected:
            return ()
        return super().get_records(context)

    @override
    def rows(self, record: Record) -> Iterator[Record]:
        events = record.get("child_events")
        if not isinstance(events, list):
            raise TapError(lacking(self.path, "child_events in an event"))
        for event in events:
            if event.get("event_type") == "Comment":
                yield {**event, **_of_the_audit(record), "type": "Comment"}


def comments_of_audit(audit: Record) -> Iterator[Record]:
    """The comments among an audit's events (zendesk.md, 5.3)."""
    for event in audit.get("events") or ():
        if event.get("type") == "Comment":
            yield {**event, **_of_the_audit(audit)}


def _of_the_audit(audit: Record) -> Record:
    """What a comment takes over from the audit, or from the event that shows the audit."""
    names = ("ticket_id", "created_at", "via", "metadata")
    return {"audit_id": audit["id"], **{name: audit.get(name) for name in names}}
