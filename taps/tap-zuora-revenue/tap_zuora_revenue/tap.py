"""Settings, streams and the run of tap-zuora-revenue."""

from __future__ import annotations

import datetime as dt
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_zuora_revenue.client import Client
from tap_zuora_revenue.query import Query
from tap_zuora_revenue.side_by_side import sync_streams
from tap_zuora_revenue.streams import BiView
from tap_zuora_revenue.views import VIEWS
from tap_zuora_revenue.waiting import Patience
from tap_zuora_revenue.windows import Window, as_text, parse_moment
from tapsupport.arrow_tap import ArrowTap
from tapsupport.errors import TapError, failure_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singer_sdk import Stream


class TapZuoraRevenue(ArrowTap):
    """Singer tap for Zuora Revenue (RevPro): its BI views."""

    name = "tap-zuora-revenue"
    capabilities = [  # noqa: RUF012 - the SDK's name; stream maps would need every row in Python
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_url",
            th.StringType,
            required=True,
            description="Base URL up to the word integration, for example "
            "https://acme.revprooncloud.com/api/integration.",
        ),
        th.Property(
            "auth_method",
            th.StringType,
            default="revpro_token",
            allowed_values=["revpro_token", "oneid_oauth"],
            description="The tenant's own log-in, or client credentials of OneID.",
        ),
        th.Property("username", th.StringType, description="For revpro_token: the API user."),
        th.Property(
            "password", th.StringType, secret=True, description="For revpro_token: its password."
        ),
        th.Property(
            "role",
            th.StringType,
            default="API Role",
            description="For revpro_token: name of a role of the tenant that has Webservices "
            "Inbound and Outbound, and access to all organisations.",
        ),
        th.Property(
            "client_name",
            th.StringType,
            default="Default",
            description="For revpro_token: name of the client in the tenant.",
        ),
        th.Property(
            "oauth_client_id", th.StringType, description="For oneid_oauth: the client's id."
        ),
        th.Property(
            "oauth_client_secret",
            th.StringType,
            secret=True,
            description="For oneid_oauth: its secret.",
        ),
        th.Property(
            "oauth_token_url",
            th.StringType,
            default="https://one.zuora.com/oauth2/token",
            description="For oneid_oauth: where tokens come from.",
        ),
        th.Property(
            "application_client_id",
            th.IntegerType,
            default=1,
            description="The clientId of queries, nearly always 1.",
        ),
        th.Property(
            "start_date",
            th.StringType,
            default="2016-07-26T00:00:00",
            description="Earliest INCR_UPDT_DT to read; the default is the API's earliest.",
        ),
        th.Property(
            "end_date",
            th.StringType,
            description="Latest INCR_UPDT_DT to read. Default: now and lookahead_hours.",
        ),
        th.Property(
            "lookahead_hours",
            th.IntegerType,
            default=24,
            description="How far the window reaches into the future, so that rows updated while "
            "the run goes on, or in a time zone ahead of UTC, are not missed.",
        ),
        th.Property(
            "overlap_hours",
            th.IntegerType,
            default=72,
            description="How far an increment reaches back behind the end of the last window.",
        ),
        th.Property(
            "max_parallel_views",
            th.IntegerType(minimum=1, maximum=5),
            default=5,
            description="Views that are read at once, one query each; a client may have 5.",
        ),
        th.Property(
            "output_type",
            th.StringType,
            default="gzip",
            allowed_values=["gzip", "csv"],
            description="Whether pages come packed.",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=20_000),
            default=10_000,
            description="Rows of a page: up to 10,000 as csv, 20,000 as gzip, or the tenant's own "
            "limit.",
        ),
        th.Property(
            "max_query_rows",
            th.IntegerType(minimum=1),
            default=5_000_000,
            description="Rows at which the server stops a query; windows are halved to stay below.",
        ),
        th.Property(
            "poll_seconds",
            th.NumberType,
            default=5.0,
            description="Wait before a page that is not ready is asked for again.",
        ),
        th.Property(
            "patience_seconds",
            th.NumberType,
            default=3600.0,
            description="Longest wait for one page, or for a free place for a query.",
        ),
        th.Property(
            "read_timeout_seconds",
            th.NumberType,
            default=300.0,
            description="Longest wait for an answer; the server itself may try for minutes.",
        ),
        th.Property(
            "archive_root",
            th.StringType,
            description="Where every page is kept as it was received, for example "
            "gs://bucket/zuora_revenue/. Default: nowhere.",
        ),
        th.Property(
            "batch_file_pages",
            th.IntegerType(minimum=1),
            default=20,
            description="Pages of a batch file; a run that dies goes on behind the last file.",
        ),
        th.Property(
            "max_pending_files",
            th.IntegerType,
            default=8,
            description="Batch files that may exist at once, being written or waiting for the "
            "loader.",
        ),
    ).to_dict()

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        self._stopping = threading.Event()
        self._started = dt.datetime.now(dt.UTC)
        super().__init__(**kwargs)

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return [BiView(self, view) for view in VIEWS]

    # What streams share

    @cached_property
    def client(self) -> Client:
        """The tenant."""
        return Client(self.config, self.stop_if_asked)

    @cached_property
    def start_date(self) -> str:
        """`fromDate` of a view that is read whole."""
        return as_text(parse_moment(self.config["start_date"], "start_date"))

    @cached_property
    def end_date(self) -> str:
        """`toDate` of this run's queries, the same for all of them."""
        if given := self.config.get("end_date"):
            return as_text(parse_moment(given, "end_date"))
        return as_text(self._started + dt.timedelta(hours=self.config["lookahead_hours"]))

    @property
    def whole_window(self) -> Window:
        """Everything that can be asked for."""
        return Window(self.start_date, self.end_date)

    def reaching_back(self, bookmark: str) -> str:
        """`fromDate` of an increment after a run that ended at `bookmark`."""
        overlap = dt.timedelta(hours=self.config["overlap_hours"])
        start = as_text(dt.datetime.fromisoformat(bookmark) - overlap)
        return max(start, self.start_date)

    def query_maker(self, view: str) -> Callable[[Window], Query]:
        """Makes the queries of a view."""
        patience = Patience(self.config["poll_seconds"], self.config["patience_seconds"])
        limit = self.config["max_query_rows"]
        return lambda window: Query(self.client, view, window, patience, limit)

    def read_stream_state(self, stream: Stream) -> dict[str, Any]:
        """A copy of the stream's state."""
        with self.state_lock:
            return dict(stream.stream_state)

    @override
    def stop_if_asked(self) -> None:
        super().stop_if_asked()
        if self._stopping.is_set():
            raise SystemExit(1)

    # The run

    @override  # type: ignore[misc]  # final there, but one view after the other is too slow
    def sync_all(self) -> None:
        """Read the selected views, several at once; one that fails does not stop the others.

        Whatever ends the run, the tasks that it has begun and not read to their end are cancelled.

        Raises:
            TapError: some views failed; says which, and why.
        """
        self.refuse_unsupported_settings()
        if self.state:
            self.state_writer.write_state(self.state)
        _ = self.config.get("batch_config") and self.run_directory
        selected = [stream for stream in self.streams.values() if stream.selected]
        count = self.config["max_parallel_views"]
        try:
            failures = sync_streams(_longest_first(selected), count, self.stop_if_asked, self._stop)
        finally:
            self.client.cancel_all()
            self.client.close()
        for stream in selected:
            stream.log_sync_costs()
        if failures:
            raise TapError(failure_summary(failures, len(selected)))

    def _stop(self) -> None:
        self._stopping.set()

    @override
    def refuse_unsupported_settings(self) -> None:
        super().refuse_unsupported_settings()
        if self.start_date >= self.end_date:
            raise TapError(
                f"start_date {self.start_date} is not before end_date {self.end_date}. Correct it."
            )


def _longest_first(streams: list[Stream]) -> list[Stream]:
    order = [view.name for view in VIEWS]
    return sorted(streams, key=lambda stream: order.index(stream.name))
