"""What stands in front of PostgreSQL here has to know of its protocol (version 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

PROTOCOL = 3 << 16
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CHUNK_BYTES = 1 << 16  # at least a TLS record, so that none stays behind in OpenSSL's buffer


@dataclass(frozen=True)
class Packet:
    """The first thing a client sends: a code and, after it, what the code calls for."""

    code: int
    body: bytes

    @property
    def raw(self) -> bytes:
        return struct.pack("!II", len(self.body) + 8, self.code) + self.body

    @property
    def parameters(self) -> dict[str, str]:
        """The names and values of a start-up packet."""
        words = self.body.decode().split("\0")
        return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


class Framer:
    """Cuts a stream of bytes into messages; the first byte of each is its kind."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes and return the messages that are whole now."""
        data = self._rest + data
        messages = []
        start = 0
        while len(data) - start >= 5:  # noqa: PLR2004 - a kind and a length
            end = start + 1 + int.from_bytes(data[start + 1 : start + 5], "big")
            if end > len(data):
                break
            messages.append(data[start:end])
            start = end
        self._rest = data[start:]
        return messages


def read_packet(client: socket.socket) -> Packet:
    """Read a client's first packet.

    Raises:
        ConnectionError: The client went away.
    """
    length, code = struct.unpack("!II", read_exactly(client, 8))
    return Packet(code, read_exactly(client, length - 8))


def read_message(sender: socket.socket) -> tuple[bytes, bytes]:
    """Read one message: its kind and its body.

    Raises:
        ConnectionError: The sender went away.
    """
    kind, length = struct.unpack("!cI", read_exactly(sender, 5))
    return kind, read_exactly(sender, length - 4)


def read_exactly(sender: socket.socket, count: int) -> bytes:
    """Read so many bytes.

    Raises:
        ConnectionError: The sender went away.
    """
    data = b""
    while len(data) < count:
        more = sender.recv(count - len(data))
        if not more:
            raise ConnectionError("The other side closed the connection.")
        data += more
    return data


def message(kind: bytes, body: bytes) -> bytes:
    """Put a kind and a length before `body`."""
    return kind + struct.pack("!I", len(body) + 4) + body


def fatal(sqlstate: str, text: str) -> bytes:
    """An ErrorResponse that ends the session."""
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text}
    return message(b"E", b"".join(f"{k}{v}\0".encode() for k, v in fields.items()) + b"\0")


def parameter_status(name: str, value: str) -> bytes:
    """Tell a client what value a parameter has."""
    return message(b"S", f"{name}\0{value}\0".encode())
