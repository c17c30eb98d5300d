"""Settings and streams of tap-clari."""

from __future__ import annotations

import datetime as dt
import time
from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from typing_extensions import override

from tap_clari import streams
from tap_clari.answer import Answer, Export
from tap_clari.client import Clari
from tap_clari.patience import Patience
from tap_clari.quarters import FiscalCalendar
from tapsupport.errors import TapError
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from singer_sdk import Stream

LONGEST_NAP_SECONDS = 1.0  # how long a signal may have to wait
# A line feed at its end, say, would end up in an error of the HTTP library, with the token.
HEADER_TEXT = r"^(?![\s\S]*[^!-~])[!-~]"
ALL_WEEKS = {"schedule": "NONE", "includeHistorical": True, "exportFormat": "JSON"}


class TapClari(ManneredTap):
    """Singer tap for Clari's forecast exports, audit events and export limits."""

    name = "tap-clari"
    answer: Answer  # of the export whose rows are being sent

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_token",
            th.StringType(pattern=HEADER_TEXT),
            required=True,
            secret=True,
            description="API token of a user at the top of the hierarchy who is opted in.",
        ),
        th.Property(
            "api_url",
            th.StringType(pattern="^https?://"),
            default="https://api.clari.com/v4",
            description="Base URL of the API, with its version.",
        ),
        th.Property(
            "forecast_ids",
            th.ArrayType(th.StringType(min_length=1)),
            required=True,
            description="Ids of forecast tabs, from the browser's address.",
        ),
        th.Property(
            "time_periods",
            th.ArrayType(th.StringType(pattern="^(previous|current|next|[0-9]{4}_Q[1-4])$")),
            default=["current", "next"],
            description="Fiscal quarters to export: previous, current, next, or names (2026_Q1).",
        ),
        th.Property(
            "fiscal_year_start_month",
            th.IntegerType(minimum=1, maximum=12),
            default=1,
            description="First month of the fiscal year, 1 to 12.",
        ),
        th.Property(
            "fiscal_year_named_after",
            th.StringType,
            default="end",
            allowed_values=["start", "end"],
            description="Whether the year in which a fiscal year starts or ends gives its name.",
        ),
        th.Property(
            "execution_date",
            th.DateType,
            description="Day from which the previous, current and next quarter are reckoned. "
            "Default: today, UTC.",
        ),
        th.Property(
            "types_to_export",
            th.ArrayType(th.StringType),
            default=["forecast", "forecast_updated"],
            description="Values to export: forecast, quota, forecast_updated, adjustment, "
            "crm_total, crm_closed.",
        ),
        th.Property("currency", th.StringType, description="ISO code to convert values to."),
        th.Property(
            "scope_id",
            th.StringType,
            description="Root of the hierarchy to export. Default: the place of the token's user.",
        ),
        th.Property(
            "keep_departed",
            th.BooleanType,
            default=True,
            description="Keep rows that Clari does not give any more, as those of people who left. "
            "Without it each export replaces the rows of its forecast and quarter.",
        ),
        th.Property(
            "keep_snapshots",
            th.BooleanType,
            default=False,
            description="Also send all entries to forecast_snapshots, where each day stays.",
        ),
        th.Property(
            "poll_seconds",
            th.NumberType(exclusive_minimum=0),
            default=5,
            description="First pause between two looks at a job; pauses grow to a minute.",
        ),
        th.Property(
            "job_timeout_seconds",
            th.NumberType(exclusive_minimum=0),
            default=1800,
            description="How long to wait for a job to start, and for it to end.",
        ),
        th.Property(
            "resume_within_hours",
            th.NumberType,
            default=12,
            description="How old a job of an earlier run may be to go on with it.",
        ),
        th.Property(
            "start_date",
            th.DateTimeType,
            description="Earliest audit event of the first run. Default: 30 days ago.",
        ),
    ).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        kinds: list[type[streams.ClariStream]] = [
            streams.ForecastExports,
            streams.ForecastEntries,
            streams.ForecastUsers,
            streams.ForecastFields,
            streams.TimePeriods,
            streams.TimeFrames,
            streams.AuditEvents,
            streams.ExportLimits,
        ]
        if self.config.get("keep_snapshots"):
            kinds.append(streams.ForecastSnapshots)
        return [kind(tap=self) for kind in kinds]

    @property
    @override
    def streams(self) -> dict[str, Stream]:
        # Exports before all others, whose rows would hold back the state with the jobs' ids.
        found = super().streams
        first = streams.ForecastExports.name
        return {first: found[first], **found}

    @override  # type: ignore[misc]  # final there, but it alone knows that all streams are done
    def sync_all(self) -> None:
        super().sync_all()
        exports = self.streams[streams.ForecastExports.name]
        if isinstance(exports, streams.ForecastExports) and exports.has_begun:
            exports.forget_loaded()

    @cached_property
    def clari(self) -> Clari:
        return Clari(self.config["api_url"], self.config["api_token"], self.stop_if_asked)

    @property
    def exports(self) -> list[Export]:
        """What this run has to export: every forecast in every quarter.

        Raises:
            TapError: that is nothing.
        """
        if not (self.config["forecast_ids"] and self.config["time_periods"]):
            raise TapError(
                "There is nothing to export: forecast_ids and time_periods must each "
                "name one at least. Add what is missing."
            )
        given = self.config.get("execution_date")
        today = dt.date.fromisoformat(given[:10]) if given else dt.datetime.now(dt.UTC).date()
        calendar = FiscalCalendar(
            self.config["fiscal_year_start_month"], self.config["fiscal_year_named_after"]
        )
        names = [calendar.name(period, today) for period in self.config["time_periods"]]
        days = {calendar.name("current", today): today}
        return [
            Export(forecast_id, name, {"timePeriod": name, **self._options}, days.get(name))
            for forecast_id in dict.fromkeys(self.config["forecast_ids"])
            for name in dict.fromkeys(names)
        ]

    @property
    def patience(self) -> Patience:
        return Patience(
            first_seconds=float(self.config["poll_seconds"]),
            most_seconds=float(self.config["job_timeout_seconds"]),
            resume_within=dt.timedelta(hours=float(self.config["resume_within_hours"])),
            pause=self._pause,
        )

    @property
    def _options(self) -> dict[str, object]:
        """The body of the POST but for the quarter.

        It asks for all weeks: with the current one alone they could not be numbered, and a quarter
        could not be replaced.
        """
        chosen = {"currency": self.config.get("currency"), "scopeId": self.config.get("scope_id")}
        given = {name: value for name, value in chosen.items() if value}
        return {"typesToExport": list(self.config["types_to_export"]), **given, **ALL_WEEKS}

    def _pause(self, seconds: float) -> None:
        """Sleep in short naps, so that a signal ends the run soon."""
        while seconds > 0:
            self.stop_if_asked()
            time.sleep(min(seconds, LONGEST_NAP_SECONDS))
            seconds -= LONGEST_NAP_SECONDS
        self.stop_if_asked()
