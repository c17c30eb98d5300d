"""Settings, streams and the run of tap-xactly."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from typing_extensions import override

from tap_xactly.backend import Backend, LoginRefusedError, ResultLostError, read_ahead
from tap_xactly.https import Https
from tap_xactly.jdbc import Jdbc
from tap_xactly.settings import SETTINGS
from tap_xactly.streams import XactlyStream
from tap_xactly.tables import KEYS, checked_name, read_table
from tapsupport.arrow_tap import ArrowTap
from tapsupport.errors import ReaderGoneError, TapError, failure_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk import Stream


class TapXactly(ArrowTap):
    """Singer tap for Xactly Incent, by SELECT statements over HTTPS or JDBC."""

    name = "tap-xactly"
    capabilities = [  # noqa: RUF012 - the SDK's name; stream maps would need every row in Python
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    config_jsonschema = th.PropertiesList(*SETTINGS).to_dict()

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        self._check_settings()
        reloads = {name.lower() for name in self.config["full_reload"]}
        found = []
        for name in KEYS:
            table = read_table(name, self.config, self._shown(name))
            found.append(XactlyStream(self, table, reloads=name in reloads))
        return found

    def _shown(self, table: str) -> dict[str, str]:
        """The columns that the database shows, and their kinds, if they are asked for.

        Raises:
            TapError: they cannot be looked up, or no answer comes.
        """
        if not self.config["discover_columns"]:
            return {}
        backend = self.backend  # Java starts in this thread, not in the other
        found = (backend.discover(name) for name in (table,))
        seconds = self.config["statement_timeout_seconds"]
        try:
            return next(read_ahead(found, self.stop_if_asked, seconds))
        except ResultLostError as error:
            raise TapError(
                f"Looking up the columns of {table} failed: {error} Run again; if it stays, name "
                "this tenant's columns in extra_columns instead of discover_columns."
            ) from error

    # What streams share

    @cached_property
    def backend(self) -> Backend:
        """The way in, for the whole run."""
        return Jdbc(self.config) if self.config["backend"] == "jdbc" else Https(self.config)

    # The run

    @override  # type: ignore[misc]  # final there, but a stream that fails must not stop the others
    def sync_all(self) -> None:
        """Sync the selected streams one after the other; the session ends with the last.

        Raises:
            TapError: some streams failed; says which, and why.
        """
        if self.state:
            self.state_writer.write_state(self.state)
        selected = [stream for stream in self.streams.values() if stream.selected]
        failures: dict[str, TapError] = {}
        try:
            for stream in selected:
                self._sync(stream, failures)
        finally:
            self._end_session()
        for stream in selected:
            stream.log_sync_costs()
        if failures:
            raise TapError(failure_summary(failures, len(selected)))

    @override  # type: ignore[misc]  # final there, but it would leave the session behind
    def run_connection_test(self) -> bool:
        try:
            return super().run_connection_test()
        finally:
            self._end_session()

    @override
    def run_discovery(self) -> str:
        try:
            return super().run_discovery()
        finally:
            self._end_session()

    def _sync(self, stream: Stream, failures: dict[str, TapError]) -> None:
        self.stop_if_asked()
        try:
            stream.sync()
        except (LoginRefusedError, ReaderGoneError):
            raise  # the next stream would fare no better
        except TapError as error:
            self.logger.error("%s", error)  # noqa: TRY400 - a sentence, and no traceback
            failures[stream.name] = error

    def _end_session(self) -> None:
        if "backend" in self.__dict__:
            self.backend.close()

    def _check_settings(self) -> None:
        checked_name(self.config["default_schema"], "default_schema")
        for setting in ("full_reload", "extra_columns", "keys"):
            unknown = [name for name in self.config[setting] if name.lower() not in KEYS]
            if unknown:
                raise TapError(
                    f"The setting {setting} names {unknown[0][:60]!r}, which is no table of this "
                    "tap. See the README for their names."
                )
        try:
            ZoneInfo(self.config["time_zone"])
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise TapError(
                "The setting time_zone is no zone of the IANA database. Set one, such as UTC."
            ) from None
        try:
            dt.datetime.fromisoformat(self.config["start_date"])
        except ValueError:
            raise TapError(
                "The setting start_date is no date. Write it like 2026-01-31T00:00:00Z."
            ) from None
        self.refuse_unsupported_settings()
