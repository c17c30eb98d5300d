"""The other streams: users, organizations, events, and the lists that admins look after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_zendesk.client import FORBIDDEN
from tap_zendesk.exports import CursorExport, TimeExport, moment
from tap_zendesk.stream import ZendeskStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record

DAY_SECONDS = 86_400


class Users(CursorExport):
    """People; `active` is false for deleted ones, `permanently_deleted` when their data is gone."""

    name = "users"
    path = "/incremental/users/cursor.json"
    replication_key = "updated_at"

    @override
    def stamp(self, record: Record) -> int:
        found = record.get("updated_at")
        return int(moment(found).timestamp()) if found else 0


class Organizations(TimeExport):
    """Customers; deleted ones have `deleted_at`."""

    name = "organizations"
    path = "/incremental/organizations.json"
    replication_key = "updated_at"


class TicketMetricEvents(TimeExport):
    """Steps of metrics. They are not in order of time, hence the second of overlap."""

    name = "ticket_metric_events"
    path = "/incremental/ticket_metric_events.json"
    replication_key = "time"
    overlap_seconds = 1


class TicketEvents(TimeExport):
    """Audits and their events as the export has them; comments included."""

    name = "ticket_events"
    path = "/incremental/ticket_events.json"
    parameters = {"include": "comment_events"}  # noqa: RUF012 - declared a ClassVar above
    replication_key = "timestamp"
    selected_by_default = False


class List(ZendeskStream):
    """A list, which is always read whole.

    State: `updated_at`, the latest stamp, written at the end since lists are in no order. Records
    before it are not sent again; those without a stamp always are.
    """

    path: ClassVar[str]
    replication_key: ClassVar[str | None] = "updated_at"

    def pages(self) -> Iterator[list[Record]]:
        return self._tap.client.listed(self.path, self.name)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        bookmark = self.stream_state.get("updated_at") if self.replication_key else None
        latest = bookmark
        for page in self.pages():
            for record in page:
                stamp = record.get("updated_at")
                if not stamp or not bookmark or moment(stamp) >= moment(bookmark):
                    yield record
                if stamp and (not latest or moment(stamp) > moment(latest)):
                    latest = stamp
        self.checkpoint({"updated_at": latest} if latest and self.replication_key else {})


class OptionalList(List):
    """A list that the account's plan may lack: then it is empty, with a warning."""

    answer_key: ClassVar[str]

    @override
    def pages(self) -> Iterator[list[Record]]:
        number = 0
        pages = self._tap.client.offset(self.path, self.answer_key, accept=(FORBIDDEN,))
        for number, page in enumerate(pages, start=1):  # noqa: B007 - looked at behind the loop
            yield page
        if number == 0:
            self.warn_of_the_plan()

    def warn_of_the_plan(self) -> None:
        self.logger.warning(
            "%s: Zendesk answered 403, so this plan or login does not include it; left out. If it "
            "should, check that the login is an admin's and has the scope read.",
            self.name,
        )


class Groups(List):
    """Groups of agents."""

    name, path = "groups", "/groups"


class GroupMemberships(List):
    """Which agent is in which group; some have no `updated_at`."""

    name, path = "group_memberships", "/group_memberships"


class Macros(List):
    """Prepared answers and changes."""

    name, path = "macros", "/macros"


class TicketFields(List):
    """Fields of tickets, custom ones included."""

    name, path = "ticket_fields", "/ticket_fields"


class Tags(List):
    """The tags in use; read in full, since they have no stamp."""

    name, path = "tags", "/tags"
    primary_keys = ("name",)
    replication_key = None


class TicketForms(OptionalList):
    """Forms of tickets."""

    name, path, answer_key = "ticket_forms", "/ticket_forms.json", "ticket_forms"


class SlaPolicies(OptionalList):
    """Targets for answers; read in full."""

    name, path, answer_key = "sla_policies", "/slas/policies.json", "sla_policies"
    replication_key = None


class TalkPhoneNumbers(OptionalList):
    """Phone lines; read in full."""

    name, answer_key = "talk_phone_numbers", "phone_numbers"
    path = "/channels/voice/phone_numbers.json"
    replication_key = None
    selected_by_default = False


class SatisfactionRatings(OptionalList):
    """Ratings of tickets (the older kind of survey).

    The API filters by the day a rating was made, so one that changed later is found only within
    `satisfaction_ratings_days` before the bookmark (zendesk.md, 5.5).
    """

    name, path = "satisfaction_ratings", "/satisfaction_ratings"

    @override
    def pages(self) -> Iterator[list[Record]]:
        since = self.stream_state.get("updated_at") or self.config.get("start_date")
        filters: dict[str, Any] = {}
        if since:
            days = self.config["satisfaction_ratings_days"]
            start = int(moment(since).timestamp()) - days * DAY_SECONDS
            filters = {"start_time": max(start - 1, 0)}  # it is read as "greater than"
        pages = self._tap.client.listed(self.path, self.name, accept=(FORBIDDEN,), **filters)
        number = 0
        for number, page in enumerate(pages, start=1):  # noqa: B007 - looked at behind the loop
            yield page
        if number == 0:
            self.warn_of_the_plan()
