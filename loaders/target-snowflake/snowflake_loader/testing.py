"""Singer messages for tests, and what a finished command left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = Path(sys.executable).with_name("tributary-target-snowflake")

JsonValue = Any
Messages = list[dict[str, Any]]
Load = Callable[..., list[Any]]
Run = Callable[..., "Finished"]


@dataclass(frozen=True)
class Finished:
    """What the command left behind."""

    code: int
    states: list[Any]
    log: str


def start_command(config: Mapping[str, Any], folder: Path) -> subprocess.Popen[str]:
    """Start the real command, whose files are in a folder; the caller writes, reads and ends it."""
    path = folder / f"{uuid4().hex}.json"
    path.write_text(json.dumps({"work_directory": str(folder), **config}))
    return subprocess.Popen(
        [str(COMMAND), "--config", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def schema(
    stream: str = "items", keys: list[str] | None = None, **properties: JsonValue
) -> dict[str, Any]:
    """A SCHEMA message; a property is given as its JSON Schema or its type's name."""
    full = {
        name: {"type": [kind, "null"]} if isinstance(kind, str) else kind
        for name, kind in (properties or {"id": "integer", "name": "string"}).items()
    }
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": full},
        "key_properties": ["id"] if keys is None else keys,
    }


def with_hints(message: dict[str, Any], **hints: JsonValue) -> dict[str, Any]:
    """A SCHEMA message with keywords for the loader."""
    return message | {"schema": message["schema"] | hints}


def record(
    stream: str = "items", version: int | None = None, **values: JsonValue
) -> dict[str, Any]:
    """A RECORD message with these values."""
    message = {"type": "RECORD", "stream": stream, "record": values}
    return message | ({"version": version} if version is not None else {})


def activate(version: int, stream: str = "items") -> dict[str, Any]:
    """An ACTIVATE_VERSION message: a snapshot begins, or is whole."""
    return {"type": "ACTIVATE_VERSION", "stream": stream, "version": version}


def state(**bookmarks: JsonValue) -> dict[str, Any]:
    """A STATE message with a bookmark for each stream."""
    return {"type": "STATE", "value": {"bookmarks": bookmarks}}


def snapshot(
    version: int, *rows: dict[str, Any], whole: bool = True, **columns: JsonValue
) -> Messages:
    """A full-table stream: both markers, or only the first when the tap did not finish."""
    messages = [schema(**columns), activate(version)]
    messages += [record(version=version, **row) for row in rows]
    return [*messages, activate(version)] if whole else messages


def lines(messages: Messages) -> str:
    """The messages as a tap prints them."""
    return "".join(json.dumps(message) + "\n" for message in messages)
