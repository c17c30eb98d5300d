"""A stand-in for ZenGRC's REST API, version 2, written from "zengrc.md"."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.vendor import Vendor
from sandbox.vendors.zengrc_data import LISTS, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

USERNAME = "zengrc-key-id"
PASSWORD = "zengrc-key-secret"  # noqa: S105 - of the sandbox alone
API = "/api/v2"
CURSOR = "some_cursor"


class ZenGRC(Vendor):
    """The eleven lists, with HTTP Basic, pages of the server's size and opaque cursors.

    Departures: no public source shows error bodies, cursors, query parameters or the order of a
    list. Errors are JSON with a `message`, a cursor is the position in the list, lists have no
    order, and a parameter that the server did not put into a link itself is refused with 400,
    unless it is one of `parameters`. Single objects and attachments are not served.

    Attributes:
        size: How many requests there are; the other lists have a share of it, one at least.
        objects: The objects by list, in the order served; change them as you like.
        page_size: Objects of a page.
        parameters: Query parameters that a caller may send, and that change nothing.
        forbidden: Lists that the key's owner may not read: 403.
        unlicensed: Lists that this customer has not: 404.
        link: Makes `links.next.href` of a URL path with query and the request's own base URL.
    """

    name: ClassVar[str] = "zengrc"

    def __init__(self, size: int = 200) -> None:
        super().__init__(size)
        self.objects: dict[str, list[dict[str, Any]]] = {n: generate(n, size) for n in LISTS}
        self.page_size = 25
        self.parameters: set[str] = set()
        self.forbidden: set[str] = set()
        self.unlicensed: set[str] = set()
        self.link: Callable[[str, str], str] = lambda path, _: path

    @override
    def routes(self) -> Sequence[Route]:
        return [Route(f"{API}/{{name}}", self._list)]

    async def _list(self, request: Request) -> Response:
        name = request.path_params["name"]
        if not _is_allowed(request.headers.get("Authorization", "")):
            headers = {"WWW-Authenticate": 'Basic realm="ZenGRC"'}
            return JSONResponse({"message": "Bad credentials"}, 401, headers)
        if name in self.forbidden:
            return JSONResponse({"message": f"You may not read {name}"}, 403)
        if name in self.unlicensed or name not in self.objects:
            return JSONResponse({"message": "Not found"}, 404)
        if unknown := set(request.query_params) - self.parameters - {CURSOR}:
            return JSONResponse({"message": f"Unknown parameter {min(unknown)}"}, 400)
        return self._page(request, self.objects[name])

    def _page(self, request: Request, objects: list[dict[str, Any]]) -> Response:
        try:
            start = _position(request.query_params.get(CURSOR))
        except ValueError:
            return JSONResponse({"message": "Bad cursor"}, 400)
        end = start + self.page_size
        body: dict[str, Any] = {"data": objects[start:end], "links": {}}
        if end < len(objects):
            path = f"{request.url.path}?{CURSOR}={_cursor(end)}"
            root = str(request.base_url).removesuffix("/")
            origin = root.removesuffix(request.scope.get("root_path", ""))
            body["links"] = {"next": {"href": self.link(path, origin)}}
        return JSONResponse(body)


def _is_allowed(header: str) -> bool:
    expected = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    return secrets.compare_digest(header.encode(), f"Basic {expected}".encode())


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"from {position}".encode()).decode().rstrip("=")


def _position(cursor: str | None) -> int:
    """Where a page begins.

    Raises:
        ValueError: the cursor is none of ours.
    """
    if cursor is None:
        return 0
    text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    return int(text.removeprefix("from "))
