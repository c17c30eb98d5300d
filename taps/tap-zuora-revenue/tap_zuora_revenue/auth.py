"""The two ways to log in, each as something that signs requests ("zuora_revenue.md", section 3)."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
from requests.auth import AuthBase, HTTPBasicAuth
from typing_extensions import override

from tap_zuora_revenue.answers import BAD_REQUEST, NOT_ENABLED, UNAUTHORIZED, json_of
from tapsupport.errors import TapError
from tapsupport.http import HttpSession, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

EARLY_SECONDS = 120.0  # a token is renewed so long before it ends
USUAL_SECONDS = 1500.0  # how long a token is used when it does not say when it ends
LAST_SECONDS = (5.0, 5.0)  # to connect and to answer, for what is asked when the run ends
SWITCHED_OFF = (
    "Zuora Revenue answered 405: its API service is not enabled for this tenant. Have the "
    "vendor's support enable it."
)


class Token(AuthBase):
    """A token that several threads share; renewed before it ends, or when the server refuses it."""

    header: str
    _session: HttpSession

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: str | None = None
        self._renew_at = 0.0
        self._refusal: TapError | None = None

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return self.sign(r, self._session)

    def sign(
        self, request: requests.PreparedRequest, session: HttpSession
    ) -> requests.PreparedRequest:
        """Sign a request; the session is for a log-in, if there must be one."""
        request.headers[self.header] = self._current(session)
        return request

    @property
    def hasty(self) -> AuthBase:
        """The same token for what is asked when the run ends, which must not end the log-in."""
        session = replace(self._session, tries=1, before=lambda: None, timeout=LAST_SECONDS)
        return _Hasty(self, session)

    def renew(self, refused: requests.PreparedRequest) -> None:
        """Let the next request have another token than the one refused."""
        with self._lock:
            if self._value == refused.headers.get(self.header):
                self._value = None

    def close(self) -> None:
        self._session.session.close()

    @abstractmethod
    def _fetch(self, session: HttpSession) -> tuple[str, float]:
        """Log in; the header's value, and when it ends, in seconds since the epoch."""

    def _current(self, session: HttpSession) -> str:
        with self._lock:
            if self._refusal:  # once is enough: more could lock the user out
                raise self._refusal
            if self._value is None or time.time() >= self._renew_at:
                self._value, ends_at = self._log_in(session)
                self._renew_at = ends_at - EARLY_SECONDS
            return self._value

    def _log_in(self, session: HttpSession) -> tuple[str, float]:
        try:
            return self._fetch(session)
        except RetriableError:
            raise
        except TapError as error:
            self._refusal = error
            raise


class _Hasty(AuthBase):
    """Signs as a token does, but logs in through another session."""

    def __init__(self, token: Token, session: HttpSession) -> None:
        self._token = token
        self._session = session

    @override
    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._token.sign(r, self._session)


class RevproToken(Token):
    """The classic token: it comes in a response header and is sent in another one."""

    header = "token"

    def __init__(self, config: Mapping[str, Any], before: Callable[[], None]) -> None:
        super().__init__()
        username, password = _required(config, "revpro_token", "username", "password")
        self._headers = {"role": config["role"], "clientname": config["client_name"]}
        self._session = HttpSession(
            base_url=config["api_url"].rstrip("/"),
            vendor="Zuora Revenue",
            credentials="username, password and role",
            auth=HTTPBasicAuth(username.encode(), password.encode()),
            before=before,
        )

    @override
    def _fetch(self, session: HttpSession) -> tuple[str, float]:
        response = session.post(
            "/v1/authenticate", headers=self._headers, accept=(200, 400, 401, 405)
        )
        if response.status_code == NOT_ENABLED:
            raise TapError(SWITCHED_OFF)
        if response.status_code == BAD_REQUEST:
            raise TapError("Zuora Revenue knows no client of that name. Check client_name.")
        if response.status_code == UNAUTHORIZED:
            raise TapError("Zuora Revenue refused the log-in. Check username and password.")
        token = response.headers.get("Revpro-Token")
        if not token:
            raise TapError(
                "Zuora Revenue accepted the log-in but sent no header Revpro-Token: a proxy took "
                "it away, or another product answered. Check api_url."
            )
        return token, _end_of(token)


class OneIdToken(Token):
    """OAuth client credentials of OneID."""

    header = "Authorization"

    def __init__(self, config: Mapping[str, Any], before: Callable[[], None]) -> None:
        super().__init__()
        self._client = _required(config, "oneid_oauth", "oauth_client_id", "oauth_client_secret")
        self._session = HttpSession(
            base_url=config["oauth_token_url"],
            vendor="Zuora OneID",
            credentials="oauth_client_id and oauth_client_secret",
            before=before,
        )

    @override
    def _fetch(self, session: HttpSession) -> tuple[str, float]:
        name, secret = self._client
        form = {"client_id": name, "client_secret": secret, "grant_type": "client_credentials"}
        body = json_of(session.post("", data=form))
        if body is None:
            raise RetriableError("Zuora OneID sent no JSON. Run again later, or check the address.")
        if not isinstance(body, dict) or not body.get("access_token"):
            raise TapError("Zuora OneID sent no access_token. Check oauth_token_url.")
        seconds = float(body.get("expires_in") or USUAL_SECONDS + EARLY_SECONDS)
        return f"Bearer {body['access_token']}", time.time() + seconds


def make_token(config: Mapping[str, Any], before: Callable[[], None]) -> Token:
    """The token that `auth_method` asks for; `before` is called before each request.

    Raises:
        TapError: a setting that it needs is missing.
    """
    kind = OneIdToken if config["auth_method"] == "oneid_oauth" else RevproToken
    return kind(config, before)


def _required(config: Mapping[str, Any], method: str, *names: str) -> tuple[str, str]:
    if missing := [name for name in names if not config.get(name)]:
        raise TapError(f"auth_method {method} needs {' and '.join(missing)}. Set them.")
    first, second = (str(config[name]) for name in names)
    return first, second


def _end_of(token: str) -> float:
    """When a token ends, from its `exp`; only the server checks its signature."""
    try:
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return time.time() + USUAL_SECONDS + EARLY_SECONDS
