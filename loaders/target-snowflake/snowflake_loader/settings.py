"""What a user can set for the loader, and for one stream of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.hints import Hints

Choice = TypeVar("Choice", bound=enum.StrEnum)

MEBIBYTE = 1024 * 1024

FLAGS = ("all_varchar", "add_record_metadata", "uploaded_at")
TEXTS = ("slice_column", "order_column", "table", "task_instance")


class LoadMethod(enum.StrEnum):
    """How the rows of a stream reach its table."""

    APPEND_ONLY = "append-only"
    UPSERT = "upsert"
    OVERWRITE = "overwrite"
    REPLACE_SLICE = "replace-slice"
    MARK_DELETED = "mark-deleted"

    @property
    def is_snapshot(self) -> bool:
        """Whether rows are published only when the tap said that it finished."""
        return self not in {LoadMethod.APPEND_ONLY, LoadMethod.UPSERT}


class PublishOn(enum.StrEnum):
    """What tells the loader that a snapshot is whole."""

    ACTIVATE_VERSION = "activate_version"
    END_OF_INPUT = "end_of_input"


class OnBadRecord(enum.StrEnum):
    """What becomes of a record that does not fit its schema."""

    FAIL = "fail"
    QUARANTINE = "quarantine"


@dataclass(frozen=True)
class StreamSettings:
    """The settings that hold for one stream."""

    load_method: LoadMethod
    slice_column: str | None
    order_column: str | None
    max_deleted_share: float
    publish_on: PublishOn
    on_bad_record: OnBadRecord
    all_varchar: bool
    table: str | None
    add_record_metadata: bool
    uploaded_at: bool
    task_instance: str | None


@dataclass(frozen=True)
class Sizes:
    """When files are closed and commits are made."""

    file_bytes: int
    commit_bytes: int
    commit_seconds: float


def stream_settings(config: Mapping[str, Any], stream: str, hints: Hints) -> StreamSettings:
    """Return the settings of one stream.

    Its own stand over those of its patterns, these over the tap's hints and those over the
    loader's.

    Raises:
        LoadError: `replace-slice` without a `slice_column`, or a setting or value that a stream
            cannot have.
    """
    values = {**config, **hints.settings}
    own = config.get("streams") or {}
    for pattern, overrides in own.items():
        if unknown := set(overrides) - set(StreamSettings.__dataclass_fields__):
            raise LoadError(
                f"The setting `streams` gives {pattern} the setting {', '.join(sorted(unknown))}, "
                "which a stream cannot have; the loader's README lists those it can."
            )
        if wrong := [name for name, value in overrides.items() if not _suits(name, value)]:
            raise LoadError(
                f"The setting `streams` gives {pattern} a value for {', '.join(sorted(wrong))} "
                f"that is of the wrong type: {', '.join(FLAGS)} are true or false, "
                f"{', '.join(TEXTS)} are text. Correct it."
            )
        if pattern != stream and fnmatchcase(stream, pattern):
            values |= overrides
    values |= own.get(stream, {})
    method = _chosen(LoadMethod, values, "load_method", stream)
    if method is LoadMethod.REPLACE_SLICE and not values.get("slice_column"):
        raise LoadError(
            f"Stream {stream} has load_method replace-slice but no slice_column; name the column "
            "whose values say which rows are replaced, in the setting `streams`."
        )
    return StreamSettings(
        load_method=method,
        slice_column=values.get("slice_column"),
        order_column=values.get("order_column"),
        max_deleted_share=_share(values["max_deleted_share"], stream),
        publish_on=_chosen(PublishOn, values, "publish_on", stream),
        on_bad_record=_chosen(OnBadRecord, values, "on_bad_record", stream),
        all_varchar=bool(values["all_varchar"]),
        table=values.get("table"),
        add_record_metadata=bool(values["add_record_metadata"]),
        uploaded_at=bool(values["uploaded_at"]),
        task_instance=values.get("task_instance"),
    )


def _suits(name: str, value: object) -> bool:
    is_flag, is_text = name in FLAGS, name in TEXTS
    return value is None or isinstance(value, bool if is_flag else str if is_text else object)


def _chosen(choices: type[Choice], values: Mapping[str, Any], name: str, stream: str) -> Choice:
    try:
        return choices(values[name])
    except ValueError:
        raise LoadError(
            f"Stream {stream} has {name} {values[name]}, but that must be one of "
            f"{', '.join(choices)}. Correct it in the settings or the tap."
        ) from None


def sizes(config: Mapping[str, Any]) -> Sizes:
    """Return the sizes that the configuration asks for."""
    return Sizes(
        file_bytes=int(config["file_mebibytes"] * MEBIBYTE),
        commit_bytes=int(config["commit_mebibytes"] * MEBIBYTE),
        commit_seconds=float(config["commit_seconds"]),
    )


def _share(value: object, stream: str) -> float:
    """A number, or its text: from an environment variable Meltano can hand on nothing else."""
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise LoadError(
            f"Stream {stream} has max_deleted_share {value}, but that must be a number from 0 to "
            "1. Correct it."
        )
    return share
