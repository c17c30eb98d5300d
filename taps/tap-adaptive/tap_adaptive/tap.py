"""Settings and streams of tap-adaptive."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_adaptive.client import Client
from tap_adaptive.report_request import ReportRequest
from tap_adaptive.reports import Data, Processed, Reports
from tap_adaptive.sheets import ModeledSheetRows, ModeledSheets, SheetDefinitions, Sheets
from tap_adaptive.streams import STREAMS
from tap_adaptive.versions import Versions, default_version
from tapsupport.arrow_tap import ArrowTap
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk import Stream

    from tap_adaptive.errors import AnswerError

ALL = (
    *STREAMS, Data, ModeledSheetRows, ModeledSheets, Processed, Reports, SheetDefinitions, Sheets,
    Versions,
)  # fmt: skip
NEED_ACCOUNTS = ("data", "reports", "processed")


class TapAdaptive(ArrowTap):
    """Singer tap for Workday Adaptive Planning's XML API."""

    name = "tap-adaptive"
    capabilities = [  # noqa: RUF012 - the SDK's name; stream maps would need every cell in Python
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property("login", th.StringType, required=True, description="Login of the API user."),
        th.Property(
            "password",
            th.StringType,
            required=True,
            secret=True,
            description="Password of the API user.",
        ),
        th.Property(
            "instance_code",
            th.StringType,
            description="Code of the instance, for a user of several. Default: the user's own.",
        ),
        th.Property(
            "caller_name",
            th.StringType,
            default="tributary",
            description="How the vendor's logs call this tap.",
        ),
        th.Property(
            "api_url",
            th.StringType(pattern="^https?://"),
            default="https://api.adaptiveplanning.com",
            description="Host of the API, without path.",
        ),
        th.Property("api_version", th.StringType, default="v40", description="Version of the API."),
        th.Property(
            "timeout_seconds",
            th.NumberType(exclusive_minimum=0),
            default=600,
            description="How long an answer may rest between two bytes.",
        ),
        th.Property(
            "method_bodies",
            th.ObjectType(additional_properties=th.StringType),
            default={},
            description="XML to send after the credentials instead of the tap's own, by method.",
        ),
        th.Property(
            "version_name",
            th.StringType,
            description="Version of the streams data and modeled_sheet_rows. "
            "Default: the instance's default version.",
        ),
        th.Property(
            "versions_folder",
            th.StringType,
            default="Shared with Data",
            description="Folder whose versions the stream reports reads, at any depth.",
        ),
        th.Property(
            "reload_versions",
            th.ArrayType(th.StringType),
            default=[],
            description="Names of versions that reports reads again, changed or not.",
        ),
        th.Property(
            "account_codes",
            th.ArrayType(th.StringType),
            default=[],
            description="The only accounts that data and reports may read; empty is an error.",
        ),
        th.Property(
            "account_descendants",
            th.BooleanType,
            default=False,
            description="Whether the accounts below these may be read too.",
        ),
        th.Property(
            "levels",
            th.ArrayType(th.StringType),
            default=[],
            description="Names of the levels to read, with those below. Default: all.",
        ),
        th.Property(
            "rollup_levels",
            th.BooleanType,
            default=False,
            description="Whether rolled-up levels have rows of their own.",
        ),
        th.Property(
            "dimensions",
            th.ArrayType(th.StringType),
            default=[],
            description="Names of the dimensions by which cells are told apart.",
        ),
        th.Property(
            "time_span_start",
            th.StringType,
            description="Code of the first period, such as 01/2025. Default: the version's span.",
        ),
        th.Property("time_span_end", th.StringType, description="Code of the last period."),
        th.Property(
            "months_per_call",
            th.IntegerType(minimum=0),
            default=12,
            description="Most months that one call of exportData asks for; 0 is no limit.",
        ),
        th.Property(
            "currency",
            th.StringType,
            default="corporate",
            description="Currency of the values: corporate, local, or a code such as EUR.",
        ),
        th.Property(
            "max_pending_files",
            th.IntegerType(minimum=1),
            default=8,
            description="Batch files that may exist at once, being written or waiting for the "
            "loader.",
        ),
    ).to_dict()

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        self._failures: dict[str, AnswerError] = {}
        self._last_version = 0
        super().__init__(**kwargs)

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return [stream(tap=self) for stream in ALL]

    # What streams share

    @cached_property
    def client(self) -> Client:
        """Calls the API."""
        return Client.from_config(self.config, self.stop_if_asked)

    @cached_property
    def report_request(self) -> ReportRequest:
        """What exportData may be asked for."""
        return ReportRequest.from_config(self.config)

    @cached_property
    def version_name(self) -> str:
        """The version of the streams that read one version only."""
        return str(self.config.get("version_name") or default_version(self.client))

    def new_version(self) -> int:
        """The time in milliseconds, but no number twice: the loader tells snapshots by it."""
        self._last_version = max(self._last_version + 1, time.time_ns() // 1_000_000)
        return self._last_version

    def note_failure(self, what: str, error: AnswerError) -> None:
        """Go on without a stream, or a version of one; the run fails at its end."""
        self.logger.error("%s", error)
        self._failures[what] = error

    # The run

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        super()._handle_termination(signum, frame)
        if "client" in vars(self) and self.client.is_waiting:
            self.stop_if_asked()  # here and now: no message is half written during a call

    @override  # type: ignore[misc]  # final there, but one failed method must not stop the others
    def sync_all(self) -> None:
        """Sync every selected stream; one that fails does not stop the others.

        Raises:
            TapError: a setting is wrong, or some streams failed; says which, and why.
        """
        _ = self.client
        for name in NEED_ACCOUNTS:
            if self.streams[name].selected:
                _ = self.report_request
        for stream in self.streams.values():
            if stream.selected and isinstance(stream, Data | Reports):
                _ = stream.request
        if self.streams["processed"].selected and not self.streams["reports"].selected:
            raise TapError(
                "The stream processed says what reports has loaded, but reports is not selected. "
                "Select both, or neither."
            )
        super().sync_all()
        self._raise_failures()

    @override  # type: ignore[misc]  # likewise
    def run_connection_test(self) -> bool:
        succeeded = super().run_connection_test()
        self._raise_failures()
        return succeeded

    def _raise_failures(self) -> None:
        if self._failures:
            found = " ".join(f"[{what}] {error}" for what, error in self._failures.items())
            parts = "1 part" if len(self._failures) == 1 else f"{len(self._failures)} parts"
            raise TapError(f"{parts} of the run failed; the others went well. {found}")
