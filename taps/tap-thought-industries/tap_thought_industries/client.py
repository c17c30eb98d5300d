"""The Thought Industries API everywhere: log-in, rate limit, envelopes.

Facts come from the sheet thought_industries.md, whose sections are named below.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase
from typing_extensions import override

from tapsupport.errors import TapError
from tapsupport.http import HttpSession, asked_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION_PATH = "/incoming/v2"  # section 1
TIMEOUT_SECONDS = (10.0, 60.0)  # section 5: what is in use elsewhere
TRIES = 8  # section 5: seven retries
TOO_MANY = 429
UNTOLD_WAIT_SECONDS = 30  # section 5: when a 429 does not say how long
LIMIT_SECONDS = 60  # section 5: limits are per minute; more is a difference between two clocks


@dataclass(frozen=True)
class Page:
    """One answer of a list.

    Attributes:
        items: The events or objects, in the vendor's order.
        cursor: Where the next page begins, if the answer says.
        has_more: Whether there is a next page; None when the answer does not say.
        number: The page's own number, where pages are numbered.
    """

    items: list[dict[str, Any]]
    cursor: str | None
    has_more: bool | None
    number: int | None = None


class RateLimit:
    """Waits before a request when the last answer said that no more are allowed for now.

    All threads share it: the vendor counts the requests of a key, whoever sends them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0  # seconds since 1970, as X-RateLimit-Reset

    def wait(self) -> None:
        """Return when a request is allowed."""
        with self._lock:
            seconds = self._closed_until - time.time()
            self._closed_until = 0.0
            if seconds > 0:
                time.sleep(seconds)

    def observe(self, response: requests.Response, **_: Any) -> None:  # noqa: ANN401 - requests' hook
        """Look at an answer's headers, and give a 429 the Retry-After that it may lack."""
        headers = response.headers
        reset = headers.get("X-RateLimit-Reset", "")
        left = min(max(float(reset) - time.time(), 0), LIMIT_SECONDS) if reset.isdigit() else None
        if response.status_code == TOO_MANY and asked_wait(response) is None:
            wait = UNTOLD_WAIT_SECONDS if left is None else left
            headers["Retry-After"] = f"{wait:.1f}"
        elif left is not None and headers.get("X-RateLimit-Remaining") == "0":
            with self._lock:
                self._closed_until = time.time() + left


class BearerKey(AuthBase):
    """Puts the API key into a request; `requests` takes it off when it is sent to another host."""

    def __init__(self, key: str) -> None:
        self._key = key

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def connect(config: Mapping[str, Any], stop_if_asked: Callable[[], None]) -> HttpSession:
    """A session for the customer's own host, to be shared by all threads.

    Args:
        config: The tap's settings.
        stop_if_asked: Called before each request; may end the run.
    """
    limit = RateLimit()

    def before() -> None:
        stop_if_asked()
        limit.wait()

    session = requests.Session()
    session.hooks["response"].append(limit.observe)
    return HttpSession(
        base_url=f"{config['api_url'].rstrip('/')}{VERSION_PATH}",
        vendor="Thought Industries",
        credentials="the settings api_key (Settings > Security in the admin area) and api_url, "
        "and whether the key's role may read this",
        auth=BearerKey(config["api_key"]),
        before=before,
        tries=TRIES,
        timeout=TIMEOUT_SECONDS,
        session=session,
    )


def check_key(session: HttpSession) -> None:
    """Ask the vendor whether the key is valid (section 1).

    Raises:
        TapError: it is not, or the answer is none of this API's.
    """
    if _json(session.get("/ping")) != {"valid": True}:
        raise TapError(
            "Thought Industries: GET /ping did not say that the key is valid. Check api_url and "
            "api_key."
        )


def ask(session: HttpSession, path: str, key: str, params: Mapping[str, Any]) -> Page:
    """Ask for one page of a list.

    Args:
        session: Where to ask.
        path: Below /incoming/v2.
        key: What the list is called in the answer.
        params: The query; None leaves a parameter out.

    Raises:
        TapError: refused, failed after all tries, or the answer is no such list.
    """
    return read_page(_json(session.get(path, params=params)), key, path)


def _json(response: requests.Response) -> object:
    """The answer's content; None when it is no JSON, which is none of this API's answers."""
    try:
        return response.json()
    except requests.JSONDecodeError:
        return None


def read_page(body: object, key: str, path: str) -> Page:
    """Read any of the vendor's envelopes (section 3).

    Raises:
        TapError: there is no list of that name in it, which must never pass as an empty page.
    """
    content = body if isinstance(body, dict) else {}
    nested = content.get("data")
    if isinstance(nested, dict) and isinstance(nested.get("APIEvents"), dict):
        content = nested["APIEvents"]
    items = content.get(key)
    if key not in content and isinstance(nested, list):
        items = nested
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise TapError(
            f"Thought Industries: GET {path} answered without a list called {key}, so whether "
            "there is any data cannot be told. See whether api_url is the host of the learning "
            "site, and report it as a fault of this tap if it is."
        )
    about = content.get("pageInfo") or {}
    meta = content.get("meta") or {}
    cursor = about.get("cursor") or meta.get("nextCursor")
    number = about.get("currentPage") or meta.get("page")
    has_more = about.get("hasMore")
    if meta and has_more is None:
        has_more = bool(cursor) or (number or 1) < meta.get("totalPages", 1)
    return Page(items, str(cursor) if cursor else None, has_more, number)
