"""The connections file: which server each kind of source database is on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tap_postgres.client import Server
from tapsupport.errors import TapError

_PREFIX = "postgres_source_connection_"


def connection_server(path: str, database_type: str) -> Server:
    """Look up a connection; the file holds names of environment variables, never the values.

    Raises:
        TapError: the connection or one of its keys is missing, or a variable is not set.
    """
    name = f"{_PREFIX}{database_type}"
    entry = (read_yaml(path).get("connection_info") or {}).get(name)
    if not isinstance(entry, dict):
        raise TapError(f"{path}: connection_info has no {name}. Add it.")
    keys = ("host", "port", "database", "user", "pass")
    if missing := [key for key in keys if key not in entry]:
        raise TapError(f"{path}: {name} lacks {', '.join(missing)}. Add it.")
    if unset := [entry[key] for key in keys if not os.environ.get(entry[key])]:
        raise TapError(f"{path}: {name} needs the environment variable {', '.join(unset)}. Set it.")
    values = {key: os.environ[entry[key]] for key in keys}
    if not values["port"].isdigit():
        raise TapError(f"{path}: {name}: {entry['port']} is not a port number. Correct it.")
    return Server(
        host=values["host"],
        port=int(values["port"]),
        user=values["user"],
        password=values["pass"],
        database=values["database"],
    )


def read_yaml(path: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; anything else counts as an empty one.

    Raises:
        TapError: the file cannot be read or is no YAML.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TapError(f"Reading {path} failed: {error.strerror}. Correct the path.") from error
    except yaml.YAMLError as error:
        raise TapError(
            f"Reading {path} failed: {error}. Correct the file and run again."
        ) from error
    return content if isinstance(content, dict) else {}
