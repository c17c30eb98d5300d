"""How every list of ZenGRC is read: one page after the other, with the key's id and secret."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from requests.auth import HTTPBasicAuth
from singer_sdk import RESTStream
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from tap_zengrc.paging import NextLinks, objects_of
from tapsupport.errors import TapError
from tapsupport.http import HttpSession

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests
    from singer_sdk.helpers.types import Context, RequestFunc
    from singer_sdk.streams.rest import HTTPRequest, PageContext

    from tap_zengrc.tap import TapZenGRC

OK, NOT_FOUND = 200, 404
CONNECT_SECONDS = 10.0


class ZenGRCStream(RESTStream[str | None]):
    """A list: no public source knows a filter or a page size, so it is always read whole."""

    primary_keys = ("id",)
    emit_activate_version_messages = False
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # rows are made to fit by `streams`
    _tap: TapZenGRC

    @property
    @override
    def url_base(self) -> str:
        return self._tap.base_url

    @cached_property
    def http(self) -> HttpSession:
        """Asks, and asks again where that may help."""
        return HttpSession(
            base_url=self.url_base,
            vendor="ZenGRC",
            credentials="username and password, which are the id and the secret of an API key, "
            f"and that the key's owner may read {self.path}; if not, do not select {self.name}",
            auth=HTTPBasicAuth(*(self.config[n].encode() for n in ("username", "password"))),
            before=self._tap.stop_if_asked,
            timeout=(CONNECT_SECONDS, float(self.config["timeout_seconds"])),
        )

    @override
    def get_new_paginator(self) -> NextLinks:
        return NextLinks(self.url_base)

    @override
    def get_http_request(self, *, page: PageContext[str | None]) -> HTTPRequest:
        request = super().get_http_request(page=page)
        request.headers["Accept"] = "application/json"
        if page.next_page_token is None:
            request.params = dict(self.config.get("list_parameters") or {})
        else:
            request.url, request.params = page.next_page_token, {}
            if delay := self.config["page_delay_seconds"]:
                time.sleep(float(delay))
        return request

    @override
    def request_decorator(self, func: RequestFunc) -> RequestFunc:
        return self._ask  # retries and errors are those of all our taps, not the SDK's

    @override
    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        return objects_of(response)

    def _ask(self, request: requests.PreparedRequest, _: Context | None) -> requests.Response:
        """Send a request.

        Raises:
            TapError: refused, not understood, or failing after all tries.
        """
        response = self.http.get(
            str(request.url),
            accept=(OK, NOT_FOUND),
            headers=dict(request.headers),
            allow_redirects=False,  # to a page for people, or to a server that must not get the key
        )
        if response.status_code == NOT_FOUND:
            raise TapError(
                f"ZenGRC has no list {self.path} (404). Check base_url or subdomain; if your "
                f"licence does not include this kind of object, do not select {self.name}."
            )
        return response
