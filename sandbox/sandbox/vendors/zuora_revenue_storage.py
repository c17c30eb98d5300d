"""Stand-in for Google Cloud Storage, as far as an archive of pages is written there.

Source: the JSON API's resumable uploads, as gcsfs sends them. It departs from Google's in that
nobody logs in, that there are no uploads of another kind, and that nothing is listed or read.
Clients find it by their variable `STORAGE_EMULATOR_HOST`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

BUCKET = "sandbox-archive"
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
CHUNK_BYTES = 256 << 10  # what all chunks but the last are a multiple of
GOES_ON = 308


class GoogleStorage(Vendor):
    """One bucket.

    Attributes:
        objects: The bytes of what it holds, by name.
    """

    name: ClassVar[str] = "google-storage"

    def __init__(self, size: int = 0) -> None:
        super().__init__(size)
        self.objects: dict[str, bytes] = {}
        self._uploads: dict[str, tuple[str, bytearray]] = {}  # by id: a name, and what has come

    @override
    def routes(self) -> Sequence[BaseRoute]:
        upload = "/upload/storage/v1/b/{bucket}/o"
        return [
            Route(upload, self._upload, methods=["POST"]),
            Route("/uploads/{id}", self._chunk, methods=["POST", "PUT"]),
        ]

    async def _upload(self, request: Request) -> Response:
        if request.path_params["bucket"] != BUCKET:
            return _error(404, "The specified bucket does not exist.")
        if request.query_params.get("uploadType") != "resumable":
            return _error(400, "This stand-in takes resumable uploads alone.")
        key = str(len(self._uploads))
        described = await request.json()
        self._uploads[key] = (described["name"], bytearray())
        return Response(headers={"Location": f"{request.base_url}uploads/{key}"})

    async def _chunk(self, request: Request) -> Response:
        name, received = self._uploads[request.path_params["id"]]
        found = CONTENT_RANGE.fullmatch(request.headers.get("content-range", ""))
        body = await request.body()
        if not found or (found[1] and int(found[1]) != len(received)):
            return _error(400, "The Content-Range does not follow what was received.")
        if found[3] == "*" and len(body) % CHUNK_BYTES:
            return _error(400, "A chunk that is not the last must be a multiple of 256 KiB.")
        received += body
        if found[3] == "*":
            headers = {"Range": f"bytes=0-{len(received) - 1}"}
            return Response(status_code=GOES_ON, headers=headers)
        return self._store(name, bytes(received))

    def _store(self, name: str, content: bytes) -> Response:
        self.objects[name] = content
        digest = hashlib.md5(content, usedforsecurity=False).digest()
        stored: dict[str, Any] = {
            "kind": "storage#object",
            "name": name,
            "bucket": BUCKET,
            "size": str(len(content)),
            "md5Hash": base64.b64encode(digest).decode(),
            "generation": "1",
        }
        return JSONResponse(stored)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"code": status, "message": message}}, status)
