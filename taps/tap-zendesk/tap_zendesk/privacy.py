"""What never leaves the tap: columns hashed or dropped, tickets left out."""

from __future__ import annotations

import hashlib
import hmac
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Record = dict[str, Any]
Path = tuple[str, ...]

_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


@dataclass(frozen=True)
class Privacy:
    """The settings hash_columns, drop_columns and exclude_*; one for the whole tap.

    Attributes:
        hashed, dropped: Paths by stream: a column, or a column and keys within it; lists are gone
            through.
        key: Key of the HMAC.
    """

    hashed: Mapping[str, list[Path]]
    dropped: Mapping[str, list[Path]]
    key: bytes = field(repr=False)
    brands: frozenset[int]
    groups: frozenset[int]
    tags: frozenset[str]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Privacy:
        """Read the settings.

        Raises:
            TapError: columns are to be hashed and there is no key.
        """
        if config.get("hash_columns") and not config.get("hash_key"):
            raise TapError(
                "hash_columns needs a key. Set hash_key, from the environment; the same one for "
                "ever, since another gives other hashes."
            )
        return cls(
            _by_stream(config, "hash_columns"),
            _by_stream(config, "drop_columns"),
            (config.get("hash_key") or "").encode(),
            frozenset(config.get("exclude_brand_ids") or ()),
            frozenset(config.get("exclude_group_ids") or ()),
            frozenset(config.get("exclude_tags") or ()),
        )

    @property
    def excludes(self) -> bool:
        return bool(self.brands or self.groups or self.tags)

    def leaves_out(self, ticket: Record) -> bool:
        """Whether a ticket, and all that belongs to it, stays in Zendesk."""
        return (
            ticket.get("brand_id") in self.brands
            or ticket.get("group_id") in self.groups
            or not self.tags.isdisjoint(ticket.get("tags") or ())
        )

    def check(self, keys_by_stream: Mapping[str, Any], columns: Mapping[str, set[str]]) -> None:
        """Refuse what cannot be done.

        Raises:
            TapError: a stream or a column does not exist, or a key would be dropped.
        """
        for setting, paths in (("hash_columns", self.hashed), ("drop_columns", self.dropped)):
            for stream, found in paths.items():
                for path in found:
                    name = ".".join((stream, *path))
                    if path[0] not in columns.get(stream, ()):
                        raise TapError(f"{setting} names {name}, which does not exist. Correct it.")
                    if setting == "drop_columns" and path[0] in keys_by_stream[stream]:
                        raise TapError(
                            f"drop_columns names {name}, which is a key of the stream. Hash it, or "
                            "deselect the stream."
                        )

    def schema(self, stream: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The stream's schema without dropped columns; hashed ones are texts."""
        changed: dict[str, Any] = deepcopy(dict(schema))
        columns = changed["properties"]
        for path in self.dropped.get(stream, ()):
            if len(path) == 1:
                columns.pop(path[0], None)
        for path in self.hashed.get(stream, ()):
            if len(path) == 1 and path[0] in columns:
                text = "string" if "null" not in columns[path[0]]["type"] else ["string", "null"]
                said = f"{columns[path[0]]['description']} As HMAC-SHA-256."
                columns[path[0]] = {"type": text, "description": said}
        return changed

    def apply(self, stream: str, record: Record) -> Record:
        """The record with its columns hashed and dropped; the one given is left as it is."""
        for path in self.dropped.get(stream, ()):
            record = _changed(record, path, None)
        for path in self.hashed.get(stream, ()):
            record = _changed(record, path, self._hash)
        return record

    def _hash(self, value: Any) -> str | None:  # noqa: ANN401 - any JSON value
        if value is None:
            return None
        text = value.encode() if isinstance(value, str) else _encoder.encode(value)
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()


def _changed(value: Any, path: Path, change: Callable[[Any], Any] | None) -> Any:  # noqa: ANN401 - any JSON value
    """A copy in which what the path leads to is changed, or gone when `change` is None."""
    if isinstance(value, list):
        return [_changed(item, path, change) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    name, rest = path[0], path[1:]
    if rest:
        return {**value, name: _changed(value[name], rest, change)}
    if change is None:
        return {key: kept for key, kept in value.items() if key != name}
    return {**value, name: change(value[name])}


def _by_stream(config: Mapping[str, Any], setting: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for text in config.get(setting) or ():
        stream, _, path = text.partition(".")
        found.setdefault(stream, []).append(tuple(path.split(".")))
    return found
