"""How Zendesk is asked: every request of the tap goes through `Client.ask`.

Answers and what to do about them: zendesk.md, sections 3, 4.3 and 7.
"""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests

from tap_zendesk.auth import login
from tap_zendesk.limiter import LimitedAdapter, RateLimiter
from tap_zendesk.settings import API_URL
from tapsupport.errors import TapError
from tapsupport.http import MESSAGE_LENGTH, TOO_MANY, HttpSession

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Record = dict[str, Any]

OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 200, 401, 403, 404, 409
CONFLICT_SECONDS = 10.0
MOST_WAITS = 60  # for 429 and 409, which say wait and not that anything is wrong
TRIES = 8  # about two minutes of 5xx and broken connections
LIST_SIZE = 100
MOST_PAGES = 100_000
SUBDOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class Client:
    """Asks Zendesk and hands out JSON objects.

    Args:
        config: The tap's settings.
        stop_if_asked: Called before every try.
    """

    def __init__(self, config: Mapping[str, Any], stop_if_asked: Callable[[], None]) -> None:
        base = base_url(config)
        limiter = RateLimiter(
            float(config["rate_limit_share"]), float(config["export_requests_per_minute"])
        )
        adapter = LimitedAdapter(limiter, config["max_parallel"])
        without = HttpSession(
            base, "Zendesk", "client_id and client_secret", message=vendor_words, tries=TRIES
        )
        self.login = login(config, without)
        self._http = HttpSession(
            f"{base}/api/v2",
            "Zendesk",
            self.login.credentials,
            auth=self.login,  # type: ignore[arg-type]  # both of its kinds are AuthBase
            message=vendor_words,
            before=stop_if_asked,
            tries=TRIES,
        )
        for session in (without.session, self._http.session):
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            session.headers["Accept"] = "application/json"

    def ask(
        self, path: str, params: Mapping[str, Any], accept: Collection[int] = ()
    ) -> tuple[int, Record]:
        """Return the status, which is 200 or one of `accept`, and the answer's object.

        The object of an answer with another status than 200 is empty.

        Raises:
            TapError: refused, not found, not JSON, or failing after all tries.
        """
        response = self._answer(path, params, accept)
        if response.status_code == OK:
            return OK, self._object(path, response)
        if response.status_code in accept:
            return response.status_code, {}
        said = vendor_words(response)
        found = f"Zendesk: GET {path} answered {response.status_code}{said and f': {said}'}"
        if response.status_code == UNAUTHORIZED:
            raise TapError(f"{found}. Check {self.login.credentials}.")
        if response.status_code == NOT_FOUND:
            raise TapError(f"{found}. Check subdomain, and that the account has this endpoint.")
        raise TapError(f"{found}, again and again for {MOST_WAITS} times. Run again later.")

    def _answer(
        self, path: str, params: Mapping[str, Any], accept: Collection[int]
    ) -> requests.Response:
        renewed = False
        understood = {OK, UNAUTHORIZED, NOT_FOUND, CONFLICT, TOO_MANY, *accept}
        for _ in range(MOST_WAITS):
            response = self._http.get(path, params=params, accept=understood, allow_redirects=False)
            if response.status_code == TOO_MANY:
                continue  # the limiter holds every request until it is over
            if response.status_code == CONFLICT:
                time.sleep(CONFLICT_SECONDS)
            elif response.status_code == UNAUTHORIZED and not renewed:
                renewed = True
                if not self.login.renew(response.request.headers["Authorization"]):
                    break
            else:
                break
        return response

    def _object(self, path: str, response: requests.Response) -> Record:
        try:
            found = response.json(parse_float=Decimal)
        except requests.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            kind = response.headers.get("Content-Type", "no content type")
            raise TapError(
                f"Zendesk: GET {path} answered 200 with {kind} and no JSON object. Something on "
                "the way, a proxy or a sign-in page, answers in its place; check subdomain and "
                "the network."
            )
        return found

    def listed(
        self,
        path: str,
        key: str,
        accept: Collection[int] = (),
        **params: Any,  # noqa: ANN401 - of the query
    ) -> Iterator[list[Record]]:
        """The pages of a list with cursors (`page[size]`); none after a status accepted.

        Raises:
            TapError: see `ask`; or a page lacks what a page must have.
        """
        asked = {"page[size]": LIST_SIZE, **params}
        for _ in range(MOST_PAGES):
            status, body = self.ask(path, asked, accept)
            if status != OK:
                return
            yield records_of(path, body, key)
            meta = body.get("meta")
            if not isinstance(meta, dict) or not isinstance(meta.get("has_more"), bool):
                raise TapError(f"{lacking(path, 'meta.has_more')}")
            if not meta["has_more"]:
                return
            if not meta.get("after_cursor") or meta["after_cursor"] == asked.get("page[after]"):
                raise TapError(f"{lacking(path, 'a new meta.after_cursor')}")
            asked["page[after]"] = meta["after_cursor"]
            accept = within(accept)

    def offset(self, path: str, key: str, accept: Collection[int] = ()) -> Iterator[list[Record]]:
        """The pages of a list without cursors (`page`, `next_page`); none for a status accepted."""
        for number in range(1, MOST_PAGES):
            status, body = self.ask(path, {"page": number, "per_page": LIST_SIZE}, accept)
            if status != OK:
                return
            yield records_of(path, body, key)
            if body.get("next_page") is None:
                return
            accept = within(accept)


def within(accept: Collection[int]) -> Collection[int]:
    """What may come after a list's first page: a plan that lacks the list refuses that one."""
    return [status for status in accept if status != FORBIDDEN]


def base_url(config: Mapping[str, Any]) -> str:
    """The address of the account.

    Raises:
        TapError: `subdomain` is not the first part of a host name.
    """
    subdomain = config["subdomain"]
    if not SUBDOMAIN.fullmatch(subdomain):
        raise TapError(
            "The setting subdomain must be the first part of the account's address alone: acme "
            "for https://acme.zendesk.com."
        )
    url = str(config.get("api_url") or API_URL)  # empty when Meltano finds no variable for it
    return url.replace("{subdomain}", subdomain).rstrip("/")


def records_of(path: str, body: Record, key: str) -> list[Record]:
    """The records of a page.

    Raises:
        TapError: there is no list of objects under the key. It is never taken for an empty page.
    """
    found = body.get(key)
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise TapError(lacking(path, f"a list of objects under {key}"))
    return found


def lacking(path: str, what: str) -> str:
    """The sentence for an answer that is not as documented."""
    return (
        f"Zendesk: GET {path} answered without {what}, which the vendor documents. Run again; if "
        "it lasts, the API has changed and this tap must follow."
    )


def vendor_words(response: requests.Response) -> str:
    """The vendor's own words: `error` may be a text or an object; `detail` is the edge's."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    nested = (error.get("title"), error.get("message")) if isinstance(error, dict) else (error,)
    words = [*nested, body.get("description"), body.get("detail")]
    return ": ".join(word.strip() for word in words if isinstance(word, str))[:MESSAGE_LENGTH]
