"""exportData: of one version into `data`, of each shared version into `reports`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, StreamSchema
from singer_sdk.helpers._util import utc_now
from typing_extensions import override

from tap_adaptive.cell_stream import CellStream
from tap_adaptive.errors import AnswerError
from tap_adaptive.method_stream import SCHEMAS
from tap_adaptive.versions import SharedVersion, VersionChild, Versions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_adaptive.tap import TapAdaptive

READ = "versions"  # in the state: by id of each version read, its name and fingerprint


class Data(CellStream):
    """The cells of one version, `version_name` or the instance's default version."""

    name = "data"
    hints: ClassVar[dict[str, str]] = {"x-load-method": "overwrite"}

    @override
    def load(self, context: Context | None, batch_config: BatchConfig | None) -> None:
        try:
            self.send_version(None, self._tap.version_name, batch_config)
        except AnswerError as error:
            self._tap.note_failure(self.name, error)


class Reports(CellStream, VersionChild):
    """The cells of every version in the shared folder.

    A version is read when the state does not know its fingerprint, or `reload_versions` names it.
    One that was renamed is read under its new name; its old rows stay, as do those of one that
    left the folder. Versions that share a name are not read: each would replace the other's rows.
    """

    name = "reports"
    parent_stream_type = Versions
    state_partitioning_keys = ()  # one state for all versions, whose keys are ids
    hints: ClassVar[dict[str, str]] = {
        "x-load-method": "replace-slice",
        "x-slice-column": "version_name",
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's keywords, passed on
        super().__init__(**kwargs)
        self._shared: Mapping[int, SharedVersion] = {}
        self._ambiguous: set[str] = set()

    @override
    def begin(self, shared: Mapping[int, SharedVersion]) -> None:
        self._shared = shared
        for stream in (self, *self.child_streams):
            if stream.selected:
                stream._write_schema_message()  # noqa: SLF001 - there may be no version to read
        self._tell_what_left()
        self._refuse_what_shares_a_name()
        for name in set(self.config["reload_versions"]) - {v.name for v in shared.values()}:
            self.logger.warning(
                "reload_versions names %r, which is not in the folder %r. Correct the setting.",
                name, self.config["versions_folder"],
            )  # fmt: skip

    @override
    def wants(self, version: SharedVersion) -> bool:
        if version.name in self._ambiguous:
            return False
        known = self._read.get(str(version.id), {}).get("fingerprint")
        is_known = known == self.request.fingerprint(version.attributes)
        return not is_known or version.name in self.config["reload_versions"]

    @override
    def load(self, context: Context | None, batch_config: BatchConfig | None) -> None:
        version = self._shared[int((context or {})["version_id"])]
        try:
            rows = self.send_version(version.id, version.name, batch_config)
        except AnswerError as error:
            self._tap.note_failure(f"{self.name} of version {version.name}", error)
            return
        if not rows:
            self.logger.warning(
                "Version %s has no rows for what is asked; rows loaded before are removed.",
                version.name,
            )
        fingerprint = self.request.fingerprint(version.attributes)
        self._read[str(version.id)] = {"name": version.name, "fingerprint": fingerprint}
        self._sync_children({
            "version_name": version.name,
            "version_id": version.id,
            "rows": rows,
            "fingerprint": fingerprint,
            "processed_at": utc_now().isoformat(),
        })  # fmt: skip
        self._tap.state_writer.write_state(self._tap.state)

    @property
    def _read(self) -> dict[str, dict[str, str]]:
        read: dict[str, dict[str, str]] = self.stream_state.setdefault(READ, {})
        return read

    def _refuse_what_shares_a_name(self) -> None:
        counts = Counter(version.name for version in self._shared.values())
        self._ambiguous = {name for name, count in counts.items() if count > 1}
        for name in sorted(self._ambiguous):
            error = AnswerError(
                f"The folder {self.config['versions_folder']!r} holds {counts[name]} versions "
                f"named {name}. exportData knows a version by its name, and the rows of each would "
                "replace the other's, so none of them was read. Rename one."
            )
            self._tap.note_failure(f"{self.name} of version {name}", error)

    def _tell_what_left(self) -> None:
        for key, entry in list(self._read.items()):
            now = self._shared.get(int(key))
            if now is None:
                self.logger.warning(
                    "Version %s (id %s) was removed from the folder %r; its rows stay.",
                    entry["name"], key, self.config["versions_folder"],
                )  # fmt: skip
                del self._read[key]
            elif now.name != entry["name"]:
                self.logger.warning(
                    "Version %s (id %s) was renamed to %s and is read under that name; "
                    "the rows under its old name stay.",
                    entry["name"], key, now.name,
                )  # fmt: skip


class Processed(Stream):
    """One row for each version loaded: when, and how many rows."""

    name = "processed"
    parent_stream_type = Reports
    state_partitioning_keys = ()
    primary_keys = ("version_name",)
    schema: ClassVar[StreamSchema] = StreamSchema(SCHEMAS)
    emit_activate_version_messages = False  # rows are merged by key
    _tap: TapAdaptive

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        yield dict(context or {})

    @override
    def get_batch_config(self, config: Any) -> None:
        """Never: it is a row."""
        return

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, "x-load-method": "upsert"}
            yield message
