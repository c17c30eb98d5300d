"""The connections file: which server each kind of source database is on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tap_postgres.client import Server
from tap_postgres.errors import ConnectError
from tap_postgres.yaml_files import read_yaml
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_postgres.client import Connections, Database

_PREFIX = "postgres_source_connection_"
_REQUIRED = ("host", "port", "database", "user", "pass")
_OPTIONAL = ("sslmode", "sslrootcert")


class Servers:
    """The servers of manifests' tables: by the setting `connections`, else the tap's own.

    Each is looked up once, and one that cannot be connected to is not tried again.
    """

    def __init__(self, config: Mapping[str, Any], connections: Connections) -> None:
        self._config = config
        self._connections = connections
        self._servers: dict[str | None, Server] = {}
        self._errors: dict[str | None, ConnectError] = {}

    def find(self, database_type: str | None) -> Server:
        """The server of a table with this `database_type`.

        Raises:
            ConnectError: a setting is missing, or what `connection_server` raises.
        """
        if database_type not in self._servers:
            path = self._config.get("connections")
            if database_type is None or not path:
                server = Server.from_config(self._config)
            else:
                server = connection_server(path, database_type)
            self._servers[database_type] = server
        return self._servers[database_type]

    @contextmanager
    def lend(self, database_type: str | None) -> Iterator[Database]:
        """Lend a connection to that server, in a new snapshot.

        Raises:
            ConnectError: as `find`, or no connection can be made.
        """
        if database_type in self._errors:
            raise self._errors[database_type]
        try:
            with self._connections.lend(self.find(database_type)) as database:
                database.begin()
                yield database
        except ConnectError as error:
            self._errors[database_type] = error
            raise


def connection_server(path: str, database_type: str) -> Server:
    """Look up a connection; the file holds names of environment variables, never the values.

    Raises:
        ConnectError: the file cannot be read, the connection or one of its keys is missing, or a
            variable is not set.
    """
    name = f"{_PREFIX}{database_type}"
    entry = _entry(path, name)
    variables = {key: str(entry[key]) for key in (*_REQUIRED, *_OPTIONAL) if key in entry}
    problems = []
    if missing := [key for key in _REQUIRED if key not in entry]:
        problems.append(f"lacks {', '.join(missing)}. Add it.")
    if unset := [variable for variable in variables.values() if not os.environ.get(variable)]:
        problems.append(f"needs the environment variable {', '.join(unset)}. Set it.")
    port = os.environ.get(variables.get("port", ""), "")
    if port and not (port.isascii() and port.isdigit()):
        problems.append(f"takes its port from {variables['port']}, which is no number. Correct it.")
    if problems:
        raise ConnectError(" ".join(f"{path}: {name} {problem}" for problem in problems))
    values = {key: os.environ[variable] for key, variable in variables.items()}
    return Server(
        host=values["host"],
        port=int(values["port"]),
        user=values["user"],
        password=values["pass"],
        database=values["database"],
        sslmode=values.get("sslmode"),
        sslrootcert=values.get("sslrootcert"),
        variables={{"pass": "password"}.get(key, key): name for key, name in variables.items()},
    )


def _entry(path: str, name: str) -> dict[str, Any]:
    try:
        connections = read_yaml(path).get("connection_info")
    except TapError as error:
        raise ConnectError(str(error)) from error
    entry = connections.get(name) if isinstance(connections, dict) else None
    if not isinstance(entry, dict):
        raise ConnectError(f"{path}: connection_info has no {name}. Add it.")
    return entry
