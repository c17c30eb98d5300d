"""Settings, streams and the run of tap-thought-industries."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from typing_extensions import override

from tap_thought_industries.client import check_key, connect
from tap_thought_industries.days import read_moment
from tap_thought_industries.progress import check_dates
from tap_thought_industries.streams import STREAMS
from tapsupport.errors import ReaderGoneError, TapError
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk import Stream

    from tapsupport.http import HttpSession


# A line feed at its end, say, would end up in an error of the HTTP library, with the key.
HEADER_TEXT = r"^(?![\s\S]*[^!-~])[!-~]"


class TapThoughtIndustries(ManneredTap):
    """Singer tap for the REST API, version 2, of Thought Industries' learning platform."""

    name = "tap-thought-industries"

    config_jsonschema = th.PropertiesList(
        th.Property(
            "api_url",
            th.StringType(pattern="^https?://"),
            required=True,
            description="The learning site, such as https://academy.thoughtindustries.com or the "
            "company's own domain; without /incoming/v2.",
        ),
        th.Property(
            "api_key",
            th.StringType(pattern=HEADER_TEXT),
            required=True,
            secret=True,
            description="API key from Settings > Security in the admin area.",
        ),
        th.Property(
            "start_date",
            th.StringType,
            required=True,
            description="First day to read when there is no bookmark, ISO 8601, UTC.",
        ),
        th.Property(
            "end_date",
            th.StringType,
            description="Moment up to which events are read, ISO 8601. Default: now.",
        ),
        th.Property(
            "settle_minutes",
            th.IntegerType(minimum=0),
            default=60,
            description="How long after its end a day is read once more by the next run, since "
            "events may come late.",
        ),
        th.Property(
            "backfill",
            th.BooleanType,
            default=False,
            description="Read a range of days again, beside the bookmark.",
        ),
        th.Property(
            "backfill_from",
            th.StringType,
            description="First day of the range, ISO 8601. Default: start_date.",
        ),
        th.Property(
            "backfill_to",
            th.StringType,
            description="Last day of the range, ISO 8601. Default: today.",
        ),
        th.Property(
            "max_parallel_windows",
            th.IntegerType(minimum=1),
            default=3,
            description="How many days to read at once.",
        ),
        th.Property(
            "crowded_millisecond",
            th.StringType,
            default="fail",
            allowed_values=["fail", "skip"],
            description="What to do when one millisecond has more events than an answer holds: "
            "fail, or go on without the rest of them.",
        ),
    ).to_dict()

    @override
    def discover_streams(self) -> Sequence[Stream]:
        check_dates(self.config)
        return [stream(tap=self) for stream in STREAMS]

    @cached_property
    def session(self) -> HttpSession:
        """The connection that all streams share."""
        return connect(self.config, self.stop_if_asked)

    @cached_property
    def now(self) -> dt.datetime:
        """The moment up to which this run reads."""
        if end := self.config.get("end_date"):
            return read_moment(end, "The setting end_date")
        return dt.datetime.now(dt.UTC)

    @override  # type: ignore[misc]  # final there, but a stream without events would be read whole
    def run_connection_test(self) -> bool:
        """Ask whether the key is valid, which is what `--test` is for.

        Raises:
            TapError: it is not, or the site cannot be reached.
        """
        check_key(self.session)
        return True

    @override  # type: ignore[misc]  # final there, but a key may lack the right to one stream only
    def sync_all(self) -> None:
        """Sync the selected streams; one that fails does not stop the others.

        Raises:
            TapError: some streams failed; says which, and why.
        """
        if self.state:
            self.state_writer.write_state(self.state)
        failures: dict[str, TapError] = {}
        for stream in self.streams.values():
            if not stream.selected:
                continue
            try:
                stream.sync()
            except ReaderGoneError:
                raise
            except TapError as error:
                self.logger.error("%s: %s", stream.name, error)  # noqa: TRY400 - a sentence is enough
                failures[stream.name] = error
            stream.log_sync_costs()
        if failures:
            reasons = " ".join(str(error) for error in failures.values())
            raise TapError(f"Failed: {', '.join(failures)}; any other stream was read. {reasons}")
