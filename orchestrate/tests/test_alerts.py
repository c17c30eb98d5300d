"""Posting to a webhook that does not behave."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from orchestrate.alerts import Alert, post
from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY_THAT_NEVER_ENDS = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nd"
REDIRECT = "HTTP/1.1 302 Found\r\nLocation: /log-in\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(text: str) -> Iterator[str]:
    """The URL of a webhook that says this and then nothing more, without hanging up."""
    left = threading.Event()

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(text.encode())
            left.wait()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/secret"
        finally:
            left.set()
            thread.join()


def test_an_answer_that_never_ends_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out is between two pieces, so a webhook that drips would never reach it."""
    monkeypatch.setattr("orchestrate.alerts.TIMEOUT_SECONDS", 1)
    with answering(BODY_THAT_NEVER_ENDS) as url:
        monkeypatch.setenv("TRIBUTARY_ALERT_URL", url)

        post(Alert("a schedule failed", {}))


def test_a_redirect_is_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followed, a POST becomes a GET of a page that is well."""
    monkeypatch.setattr("orchestrate.alerts.TIMEOUT_SECONDS", 1)
    with answering(REDIRECT) as url:
        monkeypatch.setenv("TRIBUTARY_ALERT_URL", url)

        with pytest.raises(OrchestrateError, match="answered 302"):
            post(Alert("a schedule failed", {}))
