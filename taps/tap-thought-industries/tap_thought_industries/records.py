"""From the vendor's events and objects to records that fit their schemas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tap_thought_industries.days import milliseconds, read_moment
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAY = "event_date"
USER_ID = "user_id"
MOMENT = "timestamp"
BOOLEANS = {"true": True, "false": False}


class EventReader:
    """Makes records of one stream's events.

    Keys must be at the top and not null, so `userDetail.id` is lifted to `user_id`, and a part of
    the key that an event lacks becomes empty text ("thought_industries.md", section 7).

    Attributes:
        stream: Its name, for errors.
    """

    def __init__(self, stream: str, schema: Mapping[str, Any], key: Sequence[str]) -> None:
        self.stream = stream
        self._schema = schema
        self._key = tuple(key)

    def read(self, event: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The event's moment in milliseconds since 1970, and its record.

        Raises:
            TapError: it has no time, or no id where events of this stream have one.
        """
        moment = read_moment(event.get(MOMENT), f"{self.stream}: the timestamp of an event")
        record = fit(event, self._schema)
        record[DAY] = moment.date().isoformat()
        if USER_ID in self._schema["properties"]:
            user = event.get("userDetail")
            record[USER_ID] = user.get("id") if isinstance(user, dict) else None
        for name in self._key:
            if record.get(name) is None:
                if name == "id":
                    raise TapError(
                        f"{self.stream}: an event of {record[DAY]} has no id, which is this "
                        "stream's key. Report it as a fault of this tap."
                    )
                record[name] = ""
        return milliseconds(moment), record

    def key(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of the record's key."""
        return tuple(record[name] for name in self._key)


def fit(item: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give values the types of their schema where the vendor is loose about them.

    A number or a truth value may come as text, and the other way round; what is no such value stays
    as it is, for the loader to refuse.
    """
    known = schema["properties"]
    return {
        name: value if value is None or name not in known else _fit(value, known[name])
        for name, value in item.items()
    }


def _fit(value: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    kinds = schema["type"]
    if "string" in kinds:
        if value == "" and schema.get("format") == "date-time":
            return None
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if "integer" in kinds and isinstance(value, str):
        text = value.strip()
        return int(text) if text.removeprefix("-").isdigit() else text or None
    if "integer" in kinds and isinstance(value, float) and value.is_integer():
        return int(value)
    if "boolean" in kinds and isinstance(value, str):
        return BOOLEANS.get(value.strip().lower(), value or None)
    return value
