"""TLS in front of PostgreSQL, which is built without it here: the proxy decrypts and passes on."""

from __future__ import annotations

import select
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox import wire
from sandbox.certificates import Authority
from sandbox.listener import Listener

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.postgres import Connection

HOST_NAME = "localhost"


class TlsProxy(Listener):
    """A PostgreSQL server with TLS, as its clients see it.

    Its certificate is for `localhost` alone, so `verify-full` accepts that name and refuses
    127.0.0.1. Unlike a server with TLS of its own it offers no channel binding, and the server
    behind it sees plain connections (`pg_stat_ssl` says so).

    Attributes:
        connection: The database as it is reached through the proxy.
        required: Refuse clients that do not ask for TLS, as `hostssl` in pg_hba.conf does;
            may be set at any time.
    """

    def __init__(self, server: Connection, folder: Path, *, required: bool = False) -> None:
        super().__init__()
        self.connection = replace(server, host=HOST_NAME, port=self.port)
        self.required = required
        self._server = server
        self._authority = Authority(folder)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self._authority.issue([HOST_NAME]))

    @property
    def host(self) -> str:
        return self.connection.host

    @property
    def ca_path(self) -> Path:
        return self._authority.path

    def handle(self, client: socket.socket) -> None:
        packet = wire.read_packet(client)
        if packet.code == wire.GSSENC_REQUEST:
            client.sendall(b"N")
            packet = wire.read_packet(client)
        if packet.code == wire.SSL_REQUEST:
            client.sendall(b"S")
            with self._tls.wrap_socket(client, server_side=True) as decrypted:
                self._pass_on(decrypted, b"")
        elif self.required and packet.code != wire.CANCEL_REQUEST:
            client.sendall(wire.fatal("28000", _refusal(packet)))
        else:
            self._pass_on(client, packet.raw)

    def _pass_on(self, client: socket.socket, first: bytes) -> None:
        with socket.create_connection((self._server.host, self._server.port)) as server:
            server.sendall(first)
            targets = {client: server, server: client}
            while True:
                for source in select.select(list(targets), [], [])[0]:
                    data = source.recv(wire.CHUNK_BYTES)
                    if not data:
                        return
                    targets[source].sendall(data)


def _refusal(packet: wire.Packet) -> str:
    """What PostgreSQL says when pg_hba.conf has only `hostssl` lines."""
    names = packet.parameters
    return (
        f'no pg_hba.conf entry for host "127.0.0.1", user "{names.get("user")}",'
        f' database "{names.get("database")}", no encryption'
    )
