"""Settings and streams of tap-zendesk."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from typing_extensions import override

from tap_zendesk import streams, tickets
from tap_zendesk.client import Client
from tap_zendesk.privacy import Privacy
from tap_zendesk.settings import SETTINGS
from tapsupport.errors import TapError
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_zendesk.stream import ZendeskStream

ALWAYS: tuple[type[ZendeskStream], ...] = (
    tickets.Tickets,
    tickets.TicketMetrics,
    tickets.TicketAudits,
    tickets.TicketCustomFieldValues,
    streams.Users,
    streams.Organizations,
    streams.TicketEvents,
    streams.TicketMetricEvents,
    streams.Groups,
    streams.GroupMemberships,
    streams.Macros,
    streams.Tags,
    streams.TicketFields,
    streams.TicketForms,
    streams.SlaPolicies,
    streams.SatisfactionRatings,
    streams.TalkPhoneNumbers,
)
WITHOUT_BRAND = ("satisfaction_ratings", "ticket_events", "ticket_metric_events")


class TapZendesk(ManneredTap):
    """Singer tap for Zendesk Support."""

    name = "tap-zendesk"
    config_jsonschema = th.PropertiesList(*SETTINGS).to_dict()

    @override
    def discover_streams(self) -> Sequence[ZendeskStream]:
        """All streams; needs no login, since the columns are known."""
        comments = tickets.CommentsOfTickets if self.privacy.excludes else tickets.TicketComments
        found = [stream(self) for stream in (*ALWAYS, comments)]
        columns = {s.name: {*s.all_columns} for s in found}
        self.privacy.check({s.name: s.primary_keys for s in found}, columns)
        return found

    @cached_property
    def privacy(self) -> Privacy:
        """What may leave the tap."""
        return Privacy.from_config(self.config)

    @cached_property
    def client(self) -> Client:
        """The one client, and with it the one rate limiter, of all streams.

        Raises:
            TapError: the settings do not give one way to log in, or tickets are to be left out of
                streams that do not say of which brand, group or tag their tickets are.
        """
        wrong = [name for name in WITHOUT_BRAND if self.streams[name].selected]
        if self.privacy.excludes and wrong:
            raise TapError(
                "Some tickets are to be left out (exclude_brand_ids, exclude_group_ids, "
                f"exclude_tags), but {', '.join(wrong)} do not tell whose tickets they are about. "
                "Deselect them."
            )
        return Client(self.config, self.stop_if_asked)
