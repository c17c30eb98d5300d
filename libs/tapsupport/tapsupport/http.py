"""HTTP manners every tap has: what is tried again, how long to wait, how a refusal reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from requests.auth import AuthBase

logger = logging.getLogger(__name__)

TOO_MANY, SERVER_ERROR = 429, 500
REFUSED = (401, 403)
DEFAULT_WAIT_SECONDS = 5.0  # when the server asks to wait and does not say how long
MOST_WAIT_SECONDS = 300.0
MESSAGE_LENGTH = 300
# What a client cannot tell from a server that is busy: it ends with the connection.
BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class RetriableError(TapError):
    """An answer that another try may change; `wait_seconds` is what the server asked for."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def retry_after(exception: Exception) -> float:
    """How many seconds the server asked us to wait, for the SDK's `backoff_runtime`."""
    response = getattr(exception, "response", None)
    asked = None if response is None else asked_wait(response)
    return DEFAULT_WAIT_SECONDS if asked is None else asked


def asked_wait(response: requests.Response) -> float | None:
    """Seconds of the header Retry-After, which is a number or a date; None without one."""
    header = response.headers.get("Retry-After", "").strip()
    if header.replace(".", "", 1).isdigit():
        return min(float(header), MOST_WAIT_SECONDS)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MOST_WAIT_SECONDS)


def json_message(response: requests.Response) -> str:
    """The vendor's own words, from the usual places of a JSON body; empty when there are none."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    found = body if isinstance(body, dict) else {}
    for name in ("message", "Message", "error_description", "error", "detail", "description"):
        value = found.get(name)
        if isinstance(value, dict):
            value = value.get("message") or value.get("title")
        if isinstance(value, str) and value:
            return value[:MESSAGE_LENGTH]
    return ""


@dataclass
class HttpSession:
    """A `requests` session that tries again what may pass, and says in a sentence what did not.

    429, 5xx, timeouts and broken connections are tried again, with jittered waits that grow, or as
    long as Retry-After says. 401 and 403 fail at once and name the settings to check. Any other
    status that is not accepted fails with method, path, status and the vendor's message.

    Attributes:
        base_url: What paths are added to; its host appears in no message.
        vendor: How messages call the other side.
        credentials: Names of the settings to check after a refusal.
        auth: Signs every request; called anew for each try, so that it can renew a token.
        message: Takes the vendor's own words from an answer. They must hold no data.
        before: Called before every try; may raise to end the run, as `stop_if_asked` does.
        tries: Tries of one request, the first one included.
        timeout: Seconds to connect, and between two bytes of an answer.
    """

    base_url: str
    vendor: str
    credentials: str
    auth: AuthBase | None = None
    message: Callable[[requests.Response], str] = json_message
    before: Callable[[], None] = lambda: None
    tries: int = 6
    timeout: tuple[float, float] = (10.0, 300.0)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        adapter = HTTPAdapter(pool_maxsize=16)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)

    def get(self, path: str, **options: Any) -> requests.Response:  # noqa: ANN401 - as `request`
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:  # noqa: ANN401 - as `request`
        return self.request("POST", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        accept: Collection[int] = (200,),
        retry: Callable[[requests.Response], bool] = lambda _: False,
        **options: Any,  # noqa: ANN401 - of requests.Session.request
    ) -> requests.Response:
        """Ask, and again while another try may help.

        Args:
            method: GET, POST and so on.
            path: Below `base_url`, or a whole URL.
            accept: Statuses that the caller understands; they are returned.
            retry: Tells of an answer that is not accepted whether it may pass.
            options: For `requests.Session.request`: params, json, data, headers, stream.

        Raises:
            TapError: refused, not understood, not possible to send, or still failing after all
                tries.
        """

        @tenacity.retry(
            retry=tenacity.retry_if_exception_type(RetriableError),
            stop=tenacity.stop_after_attempt(self.tries),
            wait=_wait,
            before_sleep=_log,
            reraise=True,
        )
        def attempt() -> requests.Response:
            self.before()
            return self._attempt(method, path, accept, retry, options)

        return attempt()

    def _attempt(
        self,
        method: str,
        path: str,
        accept: Collection[int],
        retry: Callable[[requests.Response], bool],
        options: dict[str, Any],
    ) -> requests.Response:
        url = path if path.startswith(("http://", "https://")) else f"{self.base_url}{path}"
        shown = path if url != path else urlsplit(path).path
        asked = f"{self.vendor}: {method} {shown}"
        try:
            response = self.session.request(
                method, url, auth=self.auth, timeout=self.timeout, **options
            )
        except BROKEN as error:
            raise RetriableError(
                f"{asked} got no whole answer ({type(error).__name__}). Run again later; if it "
                "lasts, see whether the address in the settings can be reached from here."
            ) from None
        except (requests.RequestException, ValueError) as error:  # its text may quote a secret
            raise TapError(
                f"{asked} could not be sent ({type(error).__name__}). Check {self.credentials} for "
                "characters that no header can hold, and the address in the settings."
            ) from None
        if response.status_code in accept:
            return response
        said = self.message(response)
        found = f"{asked} answered {response.status_code} {response.reason or ''}".rstrip()
        found = f"{found}: {said.rstrip('.')}" if said else found
        if response.status_code in REFUSED:
            raise TapError(f"{found}. Check {self.credentials}.")
        if response.status_code == TOO_MANY or response.status_code >= SERVER_ERROR:
            raise RetriableError(f"{found}. Run again later.", asked_wait(response))
        if retry(response):
            raise RetriableError(f"{found}.", asked_wait(response))
        raise TapError(f"{found}. Check the settings, or report it as a fault of this tap.")


_grow = tenacity.wait_exponential_jitter(initial=1, max=60, jitter=1)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait_seconds if isinstance(error, RetriableError) else None
    return _grow(state) if asked is None else asked


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    logger.warning("%s Trying again in %.0f s.", error, wait)
