"""The pooler's connections to the server, handed out in turn."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from psycopg import sql

from sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.postgres import Connection

# The parameters whose values pgbouncer keeps for each client, from one transaction to the next.
TRACKED = (
    "client_encoding",
    "DateStyle",
    "TimeZone",
    "IntervalStyle",
    "standard_conforming_strings",
    "application_name",
)
_REPORTED = (*TRACKED, "server_version", "server_encoding", "integer_datetimes")


class Link:
    """A server connection: libpq logs in, from then on we speak over its socket ourselves."""

    def __init__(self, server: Connection) -> None:
        self._connection = server.connect()
        connection = self._connection.pgconn
        self.reported = {
            name: (connection.parameter_status(name.encode()) or b"").decode() for name in _REPORTED
        }
        self.cancellation = connection.get_cancel()
        self.socket = socket.socket(fileno=os.dup(connection.socket))
        self.socket.settimeout(None)
        self.framer = wire.Framer()

    def set(self, parameters: Mapping[str, str]) -> None:
        """Give the parameters these values, as far as they have others.

        Raises:
            ConnectionError: The server went away.
        """
        other = {k: v for k, v in parameters.items() if self.reported[k] != v}
        if not other:
            return
        statements = [
            sql.SQL("SET {} TO {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in other.items()
        ]
        query = sql.SQL("; ").join(statements).as_bytes(self._connection)
        self.socket.sendall(wire.message(b"Q", query + b"\0"))
        while wire.read_message(self.socket)[0] != b"Z":
            pass  # what it answers to SET
        self.reported.update(other)

    def close(self) -> None:
        self.socket.close()
        self._connection.close()


class LinkPool:
    """Lends links: the one unused for longest, but never the same twice running to one client."""

    def __init__(self, server: Connection, size: int) -> None:
        self._server = server
        self._vacancies = size
        self._free: deque[Link] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._first_reported: dict[str, str] = {}

    def reported(self) -> dict[str, str]:
        """What a server reports when it is logged in to, before any client has changed it."""
        self.give_back(self.lend(None))
        return dict(self._first_reported)

    def lend(self, previous: Link | None) -> Link:
        """Wait for a link other than `previous`, or open one.

        Raises:
            psycopg.OperationalError: The server does not let us in.
            ConnectionError: The pool is closed.
        """
        with self._changed:
            while not self._is_closed:
                if link := next((link for link in self._free if link is not previous), None):
                    self._free.remove(link)
                    return link
                if self._vacancies:
                    link = Link(self._server)
                    self._first_reported = self._first_reported or dict(link.reported)
                    self._vacancies -= 1
                    return link
                self._changed.wait()
        raise ConnectionError("The pooler was stopped.")

    def give_back(self, link: Link) -> None:
        if self._is_closed:
            link.close()
            return
        with self._changed:
            self._free.append(link)
            self._changed.notify_all()

    def discard(self, link: Link) -> None:
        """Close a link that is in the middle of something."""
        with self._changed:
            link.close()
            self._vacancies += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close the links that are free and lend no others."""
        with self._changed:
            self._is_closed = True
            while self._free:
                self._free.popleft().close()
            self._changed.notify_all()
