"""The way in by HTTPS: a token, a statement executed, its stored result read in pages.

Facts are of the sheet's section 3; what ends a session is of the vendor's page "Session Entity".
"""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.auth import AuthBase
from typing_extensions import override

from tap_xactly.backend import Columns, LoginRefusedError, ResultLostError, as_columns
from tapsupport.errors import TapError
from tapsupport.http import MESSAGE_LENGTH, HttpSession, json_message

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tap_xactly.statement import Select

logger = logging.getLogger(__name__)

LOGIN = "username, password, client_id and consumer"
TOKEN = "/oauth2/token"  # noqa: S105 - a path
EXECUTE = "/connect/v1/xdbc/execute"
SESSIONS = "/connect/v1/sessions"
LOGIN_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
ANY_SUCCESS = tuple(range(200, 300))  # section 3.2: the status of execute is not certain
EARLY_SECONDS = 60.0  # a token is renewed so long before it ends
GOODBYE_TIMEOUT = (5.0, 10.0)


class _Data(msgspec.Struct):
    rows: list[list[Any]]
    total_rows: int = msgspec.field(name="totalRows")


class _Page(msgspec.Struct):
    data: _Data


class Bearer(AuthBase):
    """Signs requests with a token that is there already."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.until = float("inf")  # of time.monotonic()

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    @property
    def is_usable(self) -> bool:
        return self.token is not None and time.monotonic() < self.until


class Https:
    """Runs SELECTs over HTTPS.

    Raises:
        TapError: a setting that it needs is missing.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        needed = ("username", "password", "client_id", "consumer")
        if missing := [name for name in needed if not config.get(name)]:
            raise TapError(f"Connecting needs the setting {', '.join(missing)}. Set it.")
        # Its debug lines hold whole addresses, and the token's address holds the client id.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
        self._config = config
        self._size = config["result_rows"]
        self._bearer = Bearer()
        self._http = self._session((10.0, config["statement_timeout_seconds"]), config["tries"])
        self._pages = msgspec.json.Decoder(_Page, float_hook=Decimal)

    def select(self, statement: Select) -> Generator[Columns, None, None]:
        """See `Backend`. Pages are asked for by offset, which moves by the rows that came."""
        address = self._execute(statement)
        start = 0
        while True:
            page = self._page(address, start, statement)
            start += len(page.rows)
            if page.rows:
                yield as_columns(page.rows, statement)
            if start >= page.total_rows:
                return
            if not page.rows:
                raise TapError(
                    f"Reading {statement.label}: the result has {page.total_rows} rows, and the "
                    f"page behind row {start} is empty. Run again; if it stays, set a smaller "
                    "result_rows."
                )

    def discover(self, table: str) -> dict[str, str]:
        """Nothing: no answer of this way in names columns (section 11)."""
        logger.info("%s: HTTPS shows no columns; name this tenant's in extra_columns.", table)
        return {}

    def give_up(self) -> None:
        """Nothing to do: every request has a time-out of its own."""

    def close(self) -> None:
        """Log out; whoever may not, or finds the server gone, leaves the session to expire."""
        if self._bearer.token is None or not self._config["end_session"]:
            return
        # A session of its own: the other may be in the middle of a request.
        goodbye = self._session(GOODBYE_TIMEOUT, 1)
        try:
            for name in _current_sessions(goodbye.get(SESSIONS)):
                goodbye.request("DELETE", f"{SESSIONS}/{name}", accept=ANY_SUCCESS)
        except (TapError, requests.JSONDecodeError) as error:
            logger.info("The session was not ended and will expire: %s", error)
        self._bearer.token = None

    def _session(self, timeout: tuple[float, float], tries: int) -> HttpSession:
        return HttpSession(
            base_url=self._config["api_url"].rstrip("/"),
            vendor="Xactly",
            credentials=f"{LOGIN}, and what this user's Connect role may do",
            auth=self._bearer,
            message=_message,
            tries=tries,
            timeout=timeout,
        )

    def _log_in(self) -> None:
        self._bearer.token = None
        names = ("client_id", "consumer")
        answer = self._http.post(
            TOKEN,
            accept=(HTTPStatus.OK, *LOGIN_REFUSED),
            params={**{name: self._config[name] for name in names}, "api": "connect"},
            json={name: self._config[name] for name in ("username", "password")},
            headers={"Accept": "application/json"},
        )
        found = _object(answer)
        token = found.get("access_token")
        if answer.status_code != HTTPStatus.OK or not isinstance(token, str):
            raise LoginRefusedError(
                f"Xactly: POST {TOKEN} answered {answer.status_code} without a token. "
                f"Check {LOGIN}."
            )
        self._bearer.token = token
        seconds = found.get("expires_in")
        lasts = seconds if isinstance(seconds, int) and seconds > EARLY_SECONDS else float("inf")
        self._bearer.until = time.monotonic() + lasts - EARLY_SECONDS

    def _execute(self, statement: Select) -> str:
        """Send a statement, with a new token if the old one is refused; the result's address."""
        body = {"command": statement.text, "defaultSchema": self._config["default_schema"]}
        is_new = not self._bearer.is_usable
        if is_new:
            self._log_in()
        accept = (*ANY_SUCCESS, HTTPStatus.BAD_REQUEST, *(() if is_new else (401,)))
        answer = self._http.post(EXECUTE, accept=accept, json=body)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._log_in()
            accept = (*ANY_SUCCESS, HTTPStatus.BAD_REQUEST)
            answer = self._http.post(EXECUTE, accept=accept, json=body)
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            raise TapError(
                f"Reading {statement.label}: Xactly refused the statement: {_message(answer)} "
                "See whether this tenant has the table and its columns, and whether the Connect "
                "role may read them; deselect what it has not."
            )
        return self._address(answer)

    def _address(self, answer: requests.Response) -> str:
        """Where the result is: Location, in any of the forms that were seen (section 3.2)."""
        location = answer.headers.get("Location", "")
        base = self._http.base_url
        if location.startswith("/") and not location.startswith(f"{urlsplit(base).path}/"):
            location = base + location
        address = urljoin(f"{base}{EXECUTE}", location)
        if not location or urlsplit(address)[:2] != urlsplit(base)[:2]:
            raise TapError(
                f"Xactly: POST {EXECUTE} answered {answer.status_code} with no Location on the "
                "host of api_url, so its result cannot be read. Check api_url."
            )
        return address

    def _page(self, address: str, start: int, statement: Select) -> _Data:
        answer = self._http.get(
            address,
            accept=(HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, *GONE),
            params={"start": start, "size": self._size},
        )
        if answer.status_code != HTTPStatus.OK:  # a token that died is renewed by the next execute
            raise ResultLostError(
                f"Reading {statement.label}: its result ended at row {start}, Xactly answered "
                f"{answer.status_code}. Run again; if it stays, set a smaller statement_rows."
            )
        try:
            return self._pages.decode(answer.content).data
        except msgspec.DecodeError as error:
            raise TapError(
                f"Reading {statement.label}: a page of the result is not data.rows and "
                f"data.totalRows as they are known ({_where(error)}). Report it as a fault of "
                "this tap."
            ) from None


def _where(error: msgspec.DecodeError) -> str:
    """What the decoder missed; it names keys and types, and no values."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "it is no whole JSON"


def _message(response: requests.Response) -> str:
    """The vendor's own words: of a JSON body, or of a refused statement in plain text."""
    said = json_message(response)
    if not said and response.status_code == HTTPStatus.BAD_REQUEST:
        said = " ".join(response.text.split())[:MESSAGE_LENGTH]
    return said


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except requests.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _current_sessions(response: requests.Response) -> list[str]:
    """Ids of the sessions that say of themselves to be this one, wherever the list stands."""
    found: list[str] = []
    left = [response.json()]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            if item.get("isCurrentSession") is True and item.get("id"):
                found.append(str(item["id"]))
            left.extend(item.values())
    return found
