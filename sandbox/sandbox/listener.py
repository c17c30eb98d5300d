"""A TCP server on a free port of 127.0.0.1, with a thread for each client."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.settings import HOST

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Listener(socketserver.ThreadingTCPServer):
    """Serves while it is entered as a context manager; leaving it cuts every client off."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__((HOST, 0), socketserver.BaseRequestHandler)
        self._clients: set[socket.socket] = set()
        self._changing = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def handle(self, client: socket.socket) -> None:
        """Serve one client; the connection is closed afterwards."""
        raise NotImplementedError

    def finish_request(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's signature
        """Call `handle`; a side that goes away is no error."""
        assert isinstance(request, socket.socket)  # noqa: S101 - what a TCP server gets
        # A copy, since wrapping in TLS takes the original away.
        handle = request.dup()
        with self._changing:
            self._clients.add(handle)
        with suppress(OSError):
            self.handle(request)
        with self._changing:
            self._clients.remove(handle)
            handle.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        with self._changing:
            for client in self._clients:
                with suppress(OSError):  # it went away by itself
                    client.shutdown(socket.SHUT_RDWR)
        self.server_close()
