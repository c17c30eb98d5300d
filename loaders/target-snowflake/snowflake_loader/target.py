"""The Singer target: its settings, and what each message leads to."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from uuid import uuid4

from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError, RecordsWithoutSchemaException
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.target_base import Target
from typing_extensions import override

from snowflake_loader.batches import discard
from snowflake_loader.errors import LoadError, RunError
from snowflake_loader.exact_streams import ExactStreams
from snowflake_loader.faults import Point, reach
from snowflake_loader.files import WorkDirectory
from snowflake_loader.hints import says_independent
from snowflake_loader.leases import Lease
from snowflake_loader.meltano_run import run_state
from snowflake_loader.reader import MessageReader, StopSignal
from snowflake_loader.refusals import Refusals, together
from snowflake_loader.schema import SchemaMessage
from snowflake_loader.settings import LoadMethod, OnBadRecord, PublishOn, sizes
from snowflake_loader.state import StateTracker
from snowflake_loader.stored_states import SEQUENCE, marked
from snowflake_loader.stream import Stream, Surroundings
from snowflake_loader.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.plugin_base import _ConfigInput

    from snowflake_loader.reader import Message
    from snowflake_loader.state import WaitingState

BUFFERED_BYTES = 64 * 1024 * 1024  # records of all streams together that may wait undecoded
MEMORY_CHECK_MESSAGES = 1000

NOT_EMPTY = th.StringType(min_length=1)

STREAM_SETTINGS = (
    th.Property(
        "load_method",
        th.StringType,
        default=LoadMethod.UPSERT.value,
        allowed_values=[method.value for method in LoadMethod],
        description="How rows reach the table. `overwrite` and `replace-slice` publish only when "
        "the tap says that it finished.",
    ),
    th.Property(
        "slice_column",
        th.StringType,
        description="For `replace-slice`: rows that share this column's values are replaced.",
    ),
    th.Property(
        "order_column",
        th.StringType,
        description="For `upsert`: a row replaces a stored one only if this column's value is not "
        "smaller.",
    ),
    th.Property(
        "max_deleted_share",
        th.CustomType({"type": ["number", "string", "null"]}),
        default=0.2,
        description="For `mark-deleted`: the share of a table's rows that one run may mark, 0 to "
        "1; above it the load fails.",
    ),
    th.Property(
        "publish_on",
        th.StringType,
        default=PublishOn.ACTIVATE_VERSION.value,
        allowed_values=[moment.value for moment in PublishOn],
        description="What says that a snapshot is whole. `end_of_input` is for taps that never "
        "send ACTIVATE_VERSION, and weaker: a tap that dies ends the input too.",
    ),
    th.Property(
        "on_bad_record",
        th.StringType,
        default=OnBadRecord.FAIL.value,
        allowed_values=[choice.value for choice in OnBadRecord],
        description="Whether a record that does not fit its schema fails the load or is set "
        "aside in `_REJECTED`.",
    ),
    th.Property(
        "all_varchar",
        th.BooleanType,
        default=False,
        description="Make every column a VARCHAR, in the order of the schema.",
    ),
    th.Property(
        "add_record_metadata",
        th.BooleanType,
        default=False,
        description="Add the SDK's `_sdc_*` columns.",
    ),
    th.Property(
        "uploaded_at",
        th.BooleanType,
        default=False,
        description="Add `_uploaded_at`: seconds since the epoch, the same for all rows of a run.",
    ),
    th.Property(
        "task_instance",
        th.StringType,
        description="Add `_task_instance` with this text, for example the scheduler's run.",
    ),
)


class TargetSnowflake(Target):
    """Loads Singer streams into Snowflake, record by record or file by file."""

    name = "target-snowflake"
    package_name = "tributary-target-snowflake"
    capabilities: ClassVar[list[Any]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
        PluginCapabilities.ACTIVATE_VERSION,
        TargetCapabilities.TARGET_SCHEMA,
    ]

    config_jsonschema = th.PropertiesList(
        th.Property("account", NOT_EMPTY, required=True, description="Account identifier."),
        th.Property("user", NOT_EMPTY, required=True, description="Login name."),
        th.Property(
            "private_key",
            th.StringType,
            secret=True,
            description="Private key of the user: PKCS#8, as PEM or base64 of DER.",
        ),
        th.Property(
            "private_key_path", th.StringType, description="File that holds the private key."
        ),
        th.Property(
            "private_key_passphrase",
            th.StringType,
            secret=True,
            description="Passphrase of an encrypted private key.",
        ),
        th.Property("password", th.StringType, secret=True, description="Password of the user."),
        th.Property(
            "oauth_access_token", th.StringType, secret=True, description="OAuth access token."
        ),
        th.Property(
            "use_browser_authentication",
            th.BooleanType,
            default=False,
            description="Log in through a browser (SSO).",
        ),
        th.Property("database", NOT_EMPTY, required=True, description="Database to load."),
        th.Property("schema", NOT_EMPTY, required=True, description="Schema to load."),
        th.Property("warehouse", th.StringType, description="Virtual warehouse."),
        th.Property("role", th.StringType, description="Role."),
        th.Property("host", th.StringType, description="Host, if not the account's own."),
        th.Property(
            "port", th.IntegerType(minimum=1, maximum=65535), description="Port, if not 443."
        ),
        th.Property(
            "protocol",
            th.StringType,
            allowed_values=["https", "http"],
            description="`http` is for stand-ins on this machine.",
        ),
        *STREAM_SETTINGS,
        th.Property(
            "streams",
            th.ObjectType(additional_properties=th.CustomType({"type": "object"})),
            description="Settings for single streams: from a stream's name, or a pattern with "
            "`*`, to any of the settings from `load_method` to `task_instance`, or `table`.",
        ),
        th.Property(
            "use_raw_stream_names",
            th.BooleanType,
            default=False,
            description="Name tables after the whole stream, not its part after the last hyphen.",
        ),
        th.Property(
            "file_mebibytes",
            th.NumberType(exclusive_minimum=0),
            default=128,
            description="Compressed size at which a file of records is uploaded.",
        ),
        th.Property(
            "commit_mebibytes",
            th.NumberType(exclusive_minimum=0),
            default=1024,
            description="Uploaded size of one stream at which it is committed.",
        ),
        th.Property(
            "commit_seconds",
            th.NumberType(minimum=0),
            default=300,
            description="Longest time for which rows wait to be committed; 0 for none.",
        ),
        th.Property(
            "max_connections",
            th.IntegerType(minimum=1, maximum=100),
            default=4,
            description="Sessions that load different streams at once.",
        ),
        th.Property(
            "login_timeout_seconds",
            th.IntegerType(minimum=1),
            default=60,
            description="Limit of a log-in.",
        ),
        th.Property(
            "network_timeout_seconds",
            th.IntegerType(minimum=1),
            default=600,
            description="How long a request is retried when the network fails.",
        ),
        th.Property(
            "lock_timeout_seconds",
            th.IntegerType(minimum=1),
            default=600,
            description="How long a statement waits for another's lock.",
        ),
        th.Property(
            "state_id",
            th.StringType,
            description="Name of the state that this run goes on with; only one run at a time may "
            "load it. In a run of Meltano it is known.",
        ),
        th.Property(
            "state_schema",
            th.StringType,
            description="Schema of the database where states are kept, each written in the "
            "transaction of its rows. In a run of Meltano it is known from the state backend, "
            "`target-snowflake://<schema>`.",
        ),
        th.Property(
            "lease_seconds",
            th.NumberType(exclusive_minimum=0),
            default=60,
            description="How long a run that has died keeps another from loading the same state.",
        ),
        th.Property(
            "lease_wait_seconds",
            th.NumberType(minimum=0),
            default=90,
            description="How long to wait for another run that loads the same state.",
        ),
        th.Property(
            "run_id",
            th.StringType,
            description="Name of this run in the ledger; made up if not set.",
        ),
        th.Property(
            "work_directory",
            th.StringType,
            description="Where files are written before they are uploaded.",
        ),
    ).to_dict()

    @classmethod
    def with_defaults(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings completed by the defaults, for what logs in without being a target."""
        properties = cls.config_jsonschema["properties"]
        defaults = {name: p["default"] for name, p in properties.items() if "default" in p}
        return defaults | {name: value for name, value in given.items() if value is not None}

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the SDK's own arguments
        self._stop = StopSignal()
        reader = MessageReader(self._stop)
        reader.on_pause = self._commit_what_is_due
        super().__init__(**kwargs, message_reader=reader)
        self.run_id = self.config.get("run_id") or uuid4().hex
        self._streams: dict[str, Stream] = {}
        self._schemas: dict[str, SchemaMessage] = {}
        run = run_state(self.config)
        self._lease = Lease(self.config, run, _owner(self.run_id)) if run else None
        self._states = StateTracker(self._write_state)
        self._refusals = Refusals(self._states)
        self._workers = Workers(
            self.config, self.run_id, int(self.config["max_connections"]), self._lease
        )
        self._exact = ExactStreams(
            self._streams.values, self._states, self._workers.check, has_state=run is not None
        )
        self._messages = 0
        self._surroundings = Surroundings(
            config=self.config,
            run_id=self.run_id,
            started_at=datetime.now(UTC),
            sizes=sizes(self.config),
            states=self._states,
            refusals=self._refusals,
            directory=WorkDirectory(self.config.get("work_directory")),
            writer_thread=ThreadPoolExecutor(1, thread_name_prefix="parquet"),
        )

    # Messages

    @override
    def _process_schema_message(self, message_dict: Any) -> None:
        message: Message = message_dict
        found = SchemaMessage(
            str(message.stream), message.schema or {}, message.key_properties or []
        )
        if found.stream not in self._streams:
            self._begin_stream(found)
        elif found != self._schemas[found.stream]:
            self._exact.commit_if_covered()
            self._streams[found.stream].change_schema(found)
        self._schemas[found.stream] = found

    @override
    def _process_record_message(self, message_dict: Any) -> None:
        message: Message = message_dict
        if stream := self._stream(message):
            stream.add_record(message.record, message.version, message.time_extracted)
            self._states.receive(stream.name)
        self._messages += 1
        if self._messages % MEMORY_CHECK_MESSAGES == 0:
            self._bound_memory()

    @override
    def _process_batch_message(self, message_dict: Any) -> None:
        message: Message = message_dict
        stream = self._stream(message)
        form = (message.encoding or {}).get("format")
        if form not in {"parquet", "jsonl"}:
            raise RunError(
                f"Stream {message.stream} sent a BATCH in the format {form}; this loader reads "
                "parquet and jsonl. Change the tap's batch_config."
            )
        for uri in message.manifest or []:
            if stream is None:
                discard(uri)
            elif form == "parquet":
                stream.add_parquet(uri, message.version)
            else:
                stream.add_json_lines(uri, message.version)
        if stream:
            self._states.receive(stream.name)
        self._commit_what_is_due()

    @override
    def _process_state_message(self, message_dict: Any) -> None:
        if message_dict.value:  # an empty one says nothing, and would stand for all before it
            self._exact.take_state(self._states.wait_for(message_dict.value))
        self._workers.check()

    @override
    def _process_activate_version_message(self, message_dict: Any) -> None:
        message: Message = message_dict
        if stream := self._stream(message):
            stream.activate_version(message.version or 0)

    @override
    def process_endofpipe(self) -> None:
        stopped = self._stop.number
        if stopped:
            reach(Point.DRAINING)
            if self._lease:
                self._lease.stop_waiting()
        unfinished = [
            name for name, stream in self._streams.items() if not stream.end(whole=not stopped)
        ]
        uncovered = self._exact.end(whole=not stopped)
        self._workers.finish()
        self._close()
        if stopped:
            left_out = f", but for rows of {', '.join(uncovered)} after the last STATE"
            self.logger.info(
                "Stopped by signal %d; what was received is committed%s.",
                stopped, left_out if uncovered else "",
            )  # fmt: skip
            sys.exit(128 + stopped)
        errors = self._refusals.errors
        if uncovered:
            errors.append(_uncovered(uncovered))
        if unfinished:
            errors.append(_unfinished(unfinished))
        if errors:
            raise together(errors)

    # Parts

    def _stream(self, message: Message) -> Stream | None:
        """The stream of a message; None if its SCHEMA could not be taken in."""
        try:
            return self._streams[str(message.stream)]
        except KeyError:
            if str(message.stream) in self._refusals:
                return None
            raise RecordsWithoutSchemaException(
                f"A {message.type} of stream {message.stream} came before its SCHEMA, so its "
                "columns are not known; the tap must send the SCHEMA first."
            ) from None

    def _begin_stream(self, message: SchemaMessage) -> None:
        try:
            self._streams[message.stream] = self._new_stream(message)
        except LoadError as error:
            independent = says_independent(message.schema)
            self._refusals.add(message.stream, error, is_independent=independent)

    def _new_stream(self, message: SchemaMessage) -> Stream:
        stream = Stream(message, self._workers, self._surroundings)
        for other in self._streams.values():
            if other.table == stream.table:
                raise RunError(
                    f"Streams {other.name} and {stream.name} would both load table {stream.table}; "
                    "give one of them another `table` in the setting `streams`, or set "
                    "use_raw_stream_names."
                )
        return stream

    def _bound_memory(self) -> None:
        buffered = sum(stream.buffered_bytes for stream in self._streams.values())
        if buffered > BUFFERED_BYTES:
            max(self._streams.values(), key=lambda stream: stream.buffered_bytes).flush()

    def _commit_what_is_due(self) -> None:
        self._workers.check()
        for stream in self._streams.values():
            if not stream.is_exact and stream.is_commit_due():
                stream.commit()
        self._exact.commit_if_due()

    def _write_state(self, state: WaitingState) -> None:
        """Print a state, numbered if the warehouse keeps it, too."""
        if self._lease:
            self._lease.wait()
        kept = self._lease is not None and self._lease.states is not None
        number = {SEQUENCE: self._lease.sequence(state.number)} if self._lease and kept else {}
        try:
            sys.stdout.write(f"{json.dumps(marked(state.value, **number))}\n")
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise RunError(
                "A state could not be written, since what reads this command's output has gone. "
                "The rows that it covers are committed; run again."
            ) from error
        reach(Point.STATE_EMITTED)

    def _close(self) -> None:
        if self._lease:
            self._lease.release()
        self._surroundings.writer_thread.shutdown(wait=True, cancel_futures=True)
        self._surroundings.directory.remove()

    def abandon(self) -> None:
        """Give the load up: nothing more is committed, files are removed."""
        self._workers.abandon()
        self._close()

    @override
    def _setup_signal_handlers(self) -> None:
        """The reader installs handlers that let the running message end; see `invoke`."""

    @classmethod
    @override
    def invoke(  # type: ignore[override]  # as the SDK's own Target narrows it
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: Any = None,
    ) -> None:
        super(Target, cls).invoke(about=about, about_format=about_format)
        try:
            target = cls(
                config=config.config if config else None,
                parse_env_config=bool(config and config.parse_env),
            )
        except ConfigValidationError as error:
            _exit_with(cls, LoadError(_config_problems(cls, error)))
        except LoadError as error:
            _exit_with(cls, error)
        target._stop.install()
        # It takes a second, in which the tap has nothing to send yet.
        threading.Thread(target=import_module, args=["snowflake.connector"]).start()
        try:
            target.listen(file_input)
        except (LoadError, RecordsWithoutSchemaException) as error:
            target.abandon()
            _exit_with(cls, error)
        except BaseException:
            target.abandon()
            raise

    @classmethod
    @override
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Every setting of this loader stands above; the SDK's own would have no effect."""


def _config_problems(target: type[TargetSnowflake], error: ConfigValidationError) -> str:
    """The SDK's findings in one sentence; it quotes what is wrong, so secrets are left out."""
    properties = target.config_jsonschema["properties"]
    secrets = [name for name, definition in properties.items() if definition.get("secret")]
    problems = []
    for found in error.errors:
        named = [name for name in secrets if found.endswith(f"config['{name}']")]
        problems.append(f"{named[0]} has a value that is not text" if named else found)
    return f"The settings of target-snowflake are not valid: {'; '.join(problems)}."


def _uncovered(streams: list[str]) -> LoadError:
    return LoadError(
        f"The input ended with rows of {', '.join(streams)} that no STATE covers, so they were "
        "left out: the next run brings them again. If that tap never sends a STATE after its last "
        "row, set publish_on to end_of_input."
    )


def _unfinished(streams: list[str]) -> LoadError:
    return LoadError(
        f"The input ended before the tap said that {', '.join(streams)} was whole, so those tables "
        "are as they were before. Run the tap again; if it never sends ACTIVATE_VERSION after its "
        "last record, set publish_on to end_of_input."
    )


def _exit_with(target: type[TargetSnowflake], error: Exception) -> NoReturn:
    target.logger.critical("%s", error)
    sys.exit(1)


def _owner(run_id: str) -> str:
    return f"run {run_id} on {socket.gethostname()} (process {os.getpid()})"
