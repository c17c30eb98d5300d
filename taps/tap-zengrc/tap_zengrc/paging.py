"""What a page of a list says: its objects, and where the next page is ("zengrc.md", 3 and 4)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

PORTS = {"http": 80, "https": 443}
CHANGED = "ZenGRC's API may have changed: compare with its documentation and correct tap-zengrc."


def page_of(response: requests.Response) -> dict[str, Any]:
    """Return a page; fractions are Decimal, with every digit.

    Raises:
        TapError: the answer is not JSON, or has no list `data`.
    """
    try:
        page = response.json(parse_float=Decimal)
    except (ValueError, RecursionError):  # no JSON, or none that Python can hold
        raise TapError(
            f"ZenGRC: GET {_path(response)} answered something that is not JSON. See whether "
            "base_url is the address of the API, and run again."
        ) from None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise TapError(f"ZenGRC: GET {_path(response)} answered without the list `data`. {CHANGED}")
    return page


def objects_of(response: requests.Response) -> Iterator[dict[str, Any]]:
    """Yield the objects of a page.

    Raises:
        TapError: see `page_of`; or one has no whole number as `id`.
    """
    for found in page_of(response)["data"]:
        number = found.get("id") if isinstance(found, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            raise TapError(
                f"ZenGRC: GET {_path(response)} answered an object without a whole number as "
                f"`id`. {CHANGED}"
            )
        yield found


class NextLinks(BaseAPIPaginator[str | None]):
    """Follows `links.next.href` to its end: absent, null or empty.

    A link may be a whole URL, a path with or without the API's own path before it, or a query.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__(None)
        self._base_url = base_url
        self._seen: set[str] = set()

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        return True  # the link says whether there is more, not the number of objects

    @override
    def get_next(self, response: requests.Response) -> str | None:
        href = _next_href(response)
        if not href:
            return None
        url = self._resolved(href, response)
        self._seen.add(response.url)
        if url in self._seen:
            raise TapError(
                f"ZenGRC: a page of {_path(response)} names as the next one a page that was read "
                "already, so the list would never end. Run again; if it lasts, ask ZenGRC."
            )
        self._seen.add(url)
        return url

    def _resolved(self, href: str, response: requests.Response) -> str:
        """The link as a URL.

        Raises:
            TapError: it leads to another server, which must not get the key.
        """
        path = urlsplit(self._base_url).path
        if href.startswith("/") and not href.startswith(("//", f"{path}/")):
            href = path + href
        try:
            url = urljoin(response.url, href)
            is_ours = _origin(url) == _origin(self._base_url)
        except ValueError:
            raise TapError(
                f"ZenGRC: `links.next.href` of {_path(response)} is no URL. {CHANGED}"
            ) from None
        if not is_ours:
            raise TapError(
                f"ZenGRC: `links.next.href` of {_path(response)} leads to "
                f"{urlsplit(url).hostname}, which is not where base_url leads, so the key is not "
                "sent there. Correct base_url (scheme, host and port)."
            )
        return url


def _next_href(response: requests.Response) -> str | None:
    found: object = page_of(response)
    for key in ("links", "next", "href"):
        found = found.get(key) if isinstance(found, dict) else found
    if found is None or isinstance(found, str):
        return found
    raise TapError(f"ZenGRC: `links.next.href` of {_path(response)} is no text. {CHANGED}")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _path(response: requests.Response) -> str:
    return urlsplit(response.url).path
