"""The connections file: which server each kind of source database is on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tap_postgres.client import Server
from tap_postgres.yaml_files import read_yaml
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "postgres_source_connection_"
_REQUIRED = ("host", "port", "database", "user", "pass")
_OPTIONAL = ("sslmode", "sslrootcert")


def server_for(config: Mapping[str, Any], database_type: str | None) -> Server:
    """The server of a manifest's table: by the setting `connections`, else the tap's own.

    Raises:
        TapError: a setting is missing, or what `connection_server` raises.
    """
    path = config.get("connections")
    if database_type is None or not path:
        return Server.from_config(config)
    return connection_server(path, database_type)


def connection_server(path: str, database_type: str) -> Server:
    """Look up a connection; the file holds names of environment variables, never the values.

    Raises:
        TapError: the connection or one of its keys is missing, or a variable is not set.
    """
    name = f"{_PREFIX}{database_type}"
    entry = (read_yaml(path).get("connection_info") or {}).get(name)
    if not isinstance(entry, dict):
        raise TapError(f"{path}: connection_info has no {name}. Add it.")
    if missing := [key for key in _REQUIRED if key not in entry]:
        raise TapError(f"{path}: {name} lacks {', '.join(missing)}. Add it.")
    variables = {key: str(entry[key]) for key in (*_REQUIRED, *_OPTIONAL) if key in entry}
    if unset := [variable for variable in variables.values() if not os.environ.get(variable)]:
        raise TapError(f"{path}: {name} needs the environment variable {', '.join(unset)}. Set it.")
    values = {key: os.environ[variable] for key, variable in variables.items()}
    if not values["port"].isdigit():
        raise TapError(f"{path}: {name}: {entry['port']} is not a port number. Correct it.")
    return Server(
        host=values["host"],
        port=int(values["port"]),
        user=values["user"],
        password=values["pass"],
        database=values["database"],
        sslmode=values.get("sslmode"),
        sslrootcert=values.get("sslrootcert"),
    )
