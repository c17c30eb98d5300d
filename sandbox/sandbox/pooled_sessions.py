"""One client of the pooler: its messages go to a server for as long as a transaction lasts."""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING

from sandbox import wire

if TYPE_CHECKING:
    import socket

    from sandbox.server_links import Link, LinkPool

_QUERY, _CALL, _SYNC, _TERMINATE = b"Q", b"F", b"S", b"X"
_EXTENDED = frozenset({b"P", b"B", b"D", b"E", b"C", b"H"})
_READY, _COPY_IN, _PARAMETER_STATUS = b"Z", b"G", b"S"


class Session:
    """A client that has logged in.

    Args:
        client: Its connection.
        links: Where servers are borrowed.
        parameters: The tracked parameters' values; they follow what the client sets.
    """

    def __init__(self, client: socket.socket, links: LinkPool, parameters: dict[str, str]) -> None:
        self._client = client
        self._links = links
        self._parameters = parameters
        self._framer = wire.Framer()
        self._link: Link | None = None
        self._previous: Link | None = None
        self._awaited: deque[bytes] = deque()  # what ReadyForQuery is still to come for
        self._is_unsynced = False  # it sent extended messages since its last Sync

    def run(self) -> None:
        """Serve the client until it leaves; within a transaction, that costs the server too.

        Raises:
            psycopg.OperationalError: A server connection was needed and could not be made.
            OSError: The client or the server went away.
        """
        try:
            while self._step():
                pass
        finally:
            if self._link:
                self._links.discard(self._link)

    def cancel(self) -> None:
        """Cancel the client's statement, from any thread."""
        if link := self._link:
            link.cancellation.cancel()

    def _step(self) -> bool:
        """Pass on what comes next, from either side; whether the client is still there."""
        sources = [self._client, *([self._link.socket] if self._link else [])]
        ready = select.select(sources, [], [])[0]
        if self._link and self._link.socket in ready:
            return self._from_server(self._link)
        return self._from_client()

    def _from_client(self) -> bool:
        data = self._client.recv(wire.CHUNK_BYTES)
        messages = self._framer.feed(data)
        if not data or any(message[:1] == _TERMINATE for message in messages):
            return False
        if messages:
            self._link = self._link or self._borrow()
            for message in messages:
                self._note_sent(message[:1])
            self._link.socket.sendall(b"".join(messages))
        return True

    def _from_server(self, link: Link) -> bool:
        data = link.socket.recv(wire.CHUNK_BYTES)
        if not data:
            self._client.sendall(wire.fatal("08P01", "server conn crashed?"))
            return False
        messages = link.framer.feed(data)
        self._client.sendall(b"".join(messages))
        for message in messages:
            self._note_received(link, message)
        return True

    def _borrow(self) -> Link:
        link = self._links.lend(self._previous)
        link.set(self._parameters)
        return link

    def _note_sent(self, kind: bytes) -> None:
        if kind in {_QUERY, _CALL, _SYNC}:
            self._awaited.append(kind)
        if kind == _SYNC:
            self._is_unsynced = False
        elif kind in _EXTENDED:
            self._is_unsynced = True

    def _note_received(self, link: Link, message: bytes) -> None:
        kind = message[:1]
        if kind == _PARAMETER_STATUS:
            name, value = message[5:-1].decode().split("\0")
            link.reported[name] = value
            if name in self._parameters:
                self._parameters[name] = value
        elif kind == _COPY_IN and self._awaited and self._awaited[0] == _SYNC:
            # A server that takes data ignores the Sync after Execute; another follows the data.
            self._awaited.popleft()
            self._is_unsynced = True
        elif kind == _READY:
            self._note_ready(link, in_transaction=message[5:6] != b"I")

    def _note_ready(self, link: Link, *, in_transaction: bool) -> None:
        if self._awaited:
            self._awaited.popleft()
        else:
            self._is_unsynced = False
        if not (in_transaction or self._awaited or self._is_unsynced):
            self._previous, self._link = link, None
            self._links.give_back(link)
