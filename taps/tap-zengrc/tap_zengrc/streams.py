"""The streams: every list of ZenGRC, as its objects or as its keys."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk import SchemaDirectory
from typing_extensions import override

from tap_zengrc import schemas
from tap_zengrc.client import ZenGRCStream
from tap_zengrc.fingerprints import Fingerprints
from tapsupport.errors import TapError
from tapsupport.snapshot import snapshot, snapshot_version

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_zengrc.tap import TapZenGRC

NAMES = (
    "assessments",
    "audits",
    "controls",
    "issues",
    "objectives",
    "people",
    "programs",
    "requests",
    "risks",
    "systems",
    "vendors",
)
PERSONAL = {"people": {"name", "email"}, "vendors": {"owners", "contact", "secondary_contact"}}
SCHEMAS = SchemaDirectory(schemas)
FINGERPRINTS = "fingerprints"  # the key in a stream's state
OTHER = "other_properties"  # a column, and the setting that asks for it
DELETED_AT = "_sdc_deleted_at"
DELETED_AT_SCHEMA = {
    "type": ["string", "null"],
    "format": "date-time",
    "description": "When the object was found gone, by a run that reads the keys; null until then.",
}
OTHER_SCHEMA = {
    "type": ["object", "null"],
    "description": "What ZenGRC sent beside the properties that have a column.",
}

_encoder = msgspec.json.Encoder(decimal_format="number")


class Objects(ZenGRCStream):
    """The objects of a list, those that changed since the last run.

    State: `fingerprints` of what the last whole reading found. It is emptied before the first
    record is sent, so that after a reading that did not end everything is sent again: an object
    that changed and changed back in between would else stay wrong for ever.
    """

    def __init__(self, tap: TapZenGRC, name: str) -> None:
        schema = deepcopy(SCHEMAS.get_schema(name))
        columns = schema["properties"]
        self._has_column = frozenset(columns)
        if not tap.config.get("personal_columns"):
            schema["properties"] = columns = {
                column: definition
                for column, definition in columns.items()
                if column not in PERSONAL.get(name, ())
            }
        if tap.config.get(OTHER) == "keep":
            columns[OTHER] = OTHER_SCHEMA
        columns[DELETED_AT] = DELETED_AT_SCHEMA  # null with each object, which takes a mark back
        super().__init__(tap=tap, name=name, schema=schema, path=f"/{name}")

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        remembered = self._remembered()
        known = Fingerprints(
            remembered if self.config["skip_unchanged"] else "", self.config["max_remembered"]
        )
        if remembered:
            self.stream_state[FINGERPRINTS] = ""
            self._tap.state_writer.write_state(self.tap_state)
        columns = self._selected_columns()
        others: set[str] = set()
        for found in super().get_records(context):
            others |= found.keys() - self._has_column
            row = self._row(found, columns)
            if not self._knows(known, row):
                yield row
        self.stream_state[FINGERPRINTS] = known.text
        self._report(known.left_out, others)

    def _knows(self, known: Fingerprints, row: Record) -> bool:
        try:
            return known.knows(row)
        except UnicodeEncodeError:
            raise TapError(
                f"{self.name}: object {row.get('id')} holds text with half of a character (a lone "
                "surrogate), which cannot be sent. Correct its text in ZenGRC."
            ) from None

    def _remembered(self) -> str:
        found = self.stream_state.get(FINGERPRINTS, "")
        if not isinstance(found, str):
            raise TapError(
                f"{self.name}: the state's {FINGERPRINTS} are not as this tap writes them. Remove "
                "the stream's bookmark from the state, so that everything is sent again."
            )
        return found

    def _selected_columns(self) -> dict[str, Any]:
        columns = self.schema["properties"].items()
        return {name: d for name, d in columns if self.mask.get(("properties", name), True)}

    def _row(self, found: dict[str, Any], columns: dict[str, Any]) -> Record:
        """The selected columns of an object; what it does not have is null."""
        row = {name: _fitted(found.get(name), columns[name]) for name in columns}
        if OTHER in row:
            row[OTHER] = {k: v for k, v in found.items() if k not in self._has_column}
        return row

    def _report(self, left_out: int, others: set[str]) -> None:
        if left_out and self.config["skip_unchanged"]:
            self.logger.warning(
                "%s: %d objects are more than max_remembered, so every run sends them.",
                self.name,
                left_out,
            )
        if others and self.config[OTHER] == "ignore":
            self.logger.warning(
                "%s: ZenGRC sends %s, which have no column. Set other_properties to keep, to have "
                "them in a column of that name.",
                self.name,
                ", ".join(sorted(others)),
            )


class Keys(ZenGRCStream):
    """The keys of a list, by which our loader marks the rows that are gone, or refuses to."""

    def __init__(self, tap: TapZenGRC, name: str) -> None:
        key = {"id": SCHEMAS.get_schema(name)["properties"]["id"]}
        schema = {"type": "object", "properties": key}
        super().__init__(tap=tap, name=name, schema=schema, path=f"/{name}")

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        with snapshot(self, snapshot_version({})):
            for found in super().get_records(context):
                yield {"id": found["id"]}

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        hints = {
            "x-load-method": "mark-deleted",
            "x-deleted-at-column": DELETED_AT,
            "x-max-deleted-share": float(self.config["max_deleted_share"]),
            "x-order-column": "_uploaded_at",  # leaves alone what was loaded after this reading
        }
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **hints}
            yield message


def _fitted(value: Any, definition: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """The value, as JSON text where a column of text gets something else."""
    if value is None or isinstance(value, str) or "string" not in definition.get("type", ()):
        return value
    return _encoder.encode(value).decode()
