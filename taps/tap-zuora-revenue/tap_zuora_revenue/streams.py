"""The streams: one for each BI view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.exceptions import MaxRecordsLimitException
from typing_extensions import override

from tap_zuora_revenue.lanes import FileLane, Lane, RecordLane
from tap_zuora_revenue.load import Load
from tap_zuora_revenue.views import REPLICATION_KEY
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import Message, SchemaMessage

    from tap_zuora_revenue.tap import TapZuoraRevenue
    from tap_zuora_revenue.views import View


class BiView(Stream):
    """One BI view, whole unless the catalog says INCREMENTAL.

    Its SCHEMA goes out when the first page has come, since the columns are those of the file.
    """

    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    _tap: TapZuoraRevenue

    def __init__(self, tap: TapZuoraRevenue, view: View) -> None:
        super().__init__(tap=tap, schema=view.json_schema(), name=view.name)
        self.primary_keys = view.keys
        self.selected_by_default = view.selected

    @property
    def reads_everything(self) -> bool:
        """Whether the whole view is read.

        Raises:
            TapError: the catalog asks for what the server cannot do.
        """
        if self.replication_method == "FULL_TABLE":
            return True
        if self.replication_method != "INCREMENTAL" or self.replication_key != REPLICATION_KEY:
            raise TapError(
                f"{self.name}: the catalog says {self.replication_method} by "
                f"{self.replication_key}. It must be FULL_TABLE, or INCREMENTAL by "
                f"{REPLICATION_KEY}."
            )
        return False

    def write_message(self, message: Message) -> None:
        """Send a message of this stream."""
        self._tap.write_message(message)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Yield rows as dicts; the lanes do not take this slow way."""
        query = self._tap.query_maker(self.name)(self._tap.whole_window)
        try:
            for page in query.read():
                yield from page.rows.to_pylist()
        finally:
            self._tap.client.cancel(self.name)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The record lane; overridden because the SDK's way handles rows one by one."""
        self._load(RecordLane(self._tap, self.name))
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The arrow lane; overridden because the SDK makes batch files out of dicts."""
        self._load(FileLane(self._tap, self.name))

    def _load(self, lane: Lane) -> None:
        load = Load(self._tap, self, lane)
        if (limit := self.ABORT_AT_RECORD_COUNT) is not None:
            load.run_sample(limit)
            self._abort_sync(MaxRecordsLimitException(f"The dry run's limit of {limit} rows."))
        with self.get_record_counter() as counter, self.get_sync_timer():
            load.run()
            counter.increment(lane.rows)

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        yield from ()  # `Sending` sends it, when the columns are known

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # the bookmark is `toDate`, never a value that was read
