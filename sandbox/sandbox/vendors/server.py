"""Serving stand-ins over HTTP: all of them in a process, or one in a thread of a test."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox.settings import HOST
from sandbox.vendors.registry import VENDORS
from sandbox.vendors.vendor import with_transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp


def all_vendors() -> ASGIApp:
    """Every vendor below its name, with its default size of data."""

    async def health(_: Request) -> Response:
        return JSONResponse({"vendors": [vendor.name for vendor in VENDORS]})

    # The bound method hides what Starlette would take for a list of routes.
    mounts = [Mount(f"/{vendor.name}", vendor().__call__) for vendor in VENDORS]
    return with_transport(Starlette(routes=[Route("/sandbox/health", health), *mounts]))


@contextmanager
def serve(vendor: ASGIApp, certificate: Path | None = None) -> Iterator[str]:
    """Serve a vendor from a thread; yields its URL, without a slash at the end.

    Args:
        vendor: What answers.
        certificate: Its certificate and key in one file, for TLS.
    """
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and each request takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((HOST, 0))
    config = uvicorn.Config(
        with_transport(vendor),
        log_level="error",
        lifespan="off",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    listener.listen()  # so that a request made before the thread is ready waits, and is answered
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
