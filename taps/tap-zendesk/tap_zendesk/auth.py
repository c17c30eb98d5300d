"""The ways to log in: OAuth, a token that does not expire, and API tokens while they last."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from requests.auth import AuthBase, _basic_auth_str
from typing_extensions import override

from tap_zendesk.token_store import CommandStore, FileStore, Tokens, TokenStore
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

    from tapsupport.http import HttpSession

logger = logging.getLogger(__name__)

LIFETIME_SECONDS = 172_800  # the longest that Zendesk gives
EARLY_SECONDS = 3 * 3600.0  # a token is renewed so long before it expires, if it lives long enough
LAST_DAY_OF_API_TOKENS = dt.date(2027, 4, 30)
WAYS = {
    "OAuth": ("client_id", "client_secret"),
    "access_token": ("access_token",),
    "API token": ("email", "api_token"),
}


class Login(Protocol):
    """Signs requests; `renew` gets another token after a 401, if that can be."""

    credentials: str

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest: ...

    def renew(self, refused: str, /) -> bool: ...


class Fixed(AuthBase):
    """A header that stays the same."""

    def __init__(self, header: str, credentials: str) -> None:
        self._header = header
        self.credentials = credentials

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request

    def renew(self, _: str, /) -> bool:
        """Never: there is only this one."""
        return False


class OAuth(AuthBase):
    """Tokens of an OAuth client: by client credentials, or by refresh when there is a store."""

    credentials = "client_id, client_secret, oauth_scope (audits need read) and, if set, \
refresh_token; the exports need an admin"

    def __init__(
        self, config: Mapping[str, Any], http: HttpSession, store: TokenStore | None
    ) -> None:
        self._config = config
        self._http = http
        self._store = store
        self._tokens: Tokens | None = None
        self._changing = threading.RLock()

    @override
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        with self._changing:
            if self._tokens is None or time.time() >= self._tokens.renew_at:
                self._tokens = self._another(self._tokens)
            request.headers["Authorization"] = f"Bearer {self._tokens.access_token}"
        return request

    def renew(self, refused: str, /) -> bool:
        """Get another token in place of the refused header, unless another thread has already."""
        with self._changing:
            if self._tokens and refused == f"Bearer {self._tokens.access_token}":
                self._tokens = self._another(self._tokens)
        return True

    def _another(self, old: Tokens | None) -> Tokens:
        if self._store is None:
            return self._granted({"grant_type": "client_credentials"})
        with self._store.locked():
            kept = self._store.load()
            if kept and kept != old and time.time() < kept.renew_at:
                return kept  # another run has refreshed it
            refresh = kept.refresh_token if kept else self._config.get("refresh_token")
            if not refresh:
                raise TapError(
                    "There is no OAuth refresh token yet. Set refresh_token for the first run."
                )
            new = self._granted({"grant_type": "refresh_token", "refresh_token": refresh})
            self._store.save(new)
        return new

    def _granted(self, grant: dict[str, str]) -> Tokens:
        """Ask for a token; see zendesk.md, section 1."""
        names = ("client_id", "client_secret")
        body = {
            **grant,
            **{name: self._config[name] for name in names},
            "scope": self._config["oauth_scope"],
            "expires_in": LIFETIME_SECONDS,
        }
        response = self._http.post("/oauth/tokens", json=body, accept=(200, 400))
        answer = _object(response)
        access, refresh = answer.get("access_token"), answer.get("refresh_token")
        lifetime = answer.get("expires_in") or LIFETIME_SECONDS
        lost = "refresh_token" in grant and not refresh
        if response.status_code != 200 or not isinstance(access, str) or lost:  # noqa: PLR2004
            raise TapError(
                f"Zendesk gave no OAuth token for grant_type {grant['grant_type']} (status "
                f"{response.status_code}). Check client_id, client_secret and oauth_scope; a "
                "refresh token works once, so if it was used elsewhere, make a new one in Zendesk, "
                "set refresh_token to it and empty what token_file or token_command keeps."
            )
        early = min(EARLY_SECONDS, lifetime / 10)
        return Tokens(access, refresh, time.time() + lifetime - early)


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def login(config: Mapping[str, Any], http: HttpSession) -> Login:
    """The one way to log in that the settings give; see `check_login`."""
    way = check_login(config)
    if way == "OAuth":
        return OAuth(config, http, _store(config))
    if way == "access_token":
        return Fixed(f"Bearer {config['access_token']}", "access_token; the exports need an admin")
    left = (LAST_DAY_OF_API_TOKENS - dt.datetime.now(dt.UTC).date()).days
    logger.warning(
        "Zendesk accepts API tokens until %s (%d days left; the date may have moved). Make an "
        "OAuth client and set client_id and client_secret instead of email and api_token.",
        LAST_DAY_OF_API_TOKENS.isoformat(),
        left,
    )
    header = _basic_auth_str(f"{config['email']}/token", config["api_token"])
    credentials = "email and api_token, which Zendesk switches off after 30 days without use and \
for good on 30 April 2027; the exports need an admin"
    return Fixed(header, credentials)


def check_login(config: Mapping[str, Any]) -> str:
    """Say which way the settings give, before any request.

    Raises:
        TapError: none or several, or one that lacks a part.
    """
    begun = [way for way, names in WAYS.items() if config.get(names[-1]) or config.get(names[0])]
    whole = [way for way in begun if all(config.get(name) for name in WAYS[way])]
    if len(begun) != 1 or begun != whole:
        raise TapError(
            "The settings must give exactly one way to log in: client_id and client_secret "
            f"(OAuth), or access_token, or email and api_token. Found: "
            f"{', '.join(begun) or 'none'}{'' if begun == whole else ', not complete'}."
        )
    stores = [name for name in ("token_file", "token_command") if config.get(name)]
    if (config.get("refresh_token") and len(stores) != 1) or len(stores) > 1:
        raise TapError(
            "A refresh gives a new refresh token and kills the old one, so it must be kept: with "
            "refresh_token set token_file or token_command, and only one of them."
        )
    return begun[0]


def _store(config: Mapping[str, Any]) -> TokenStore | None:
    if path := config.get("token_file"):
        return FileStore(path)
    if command := config.get("token_command"):
        return CommandStore(command)
    return None
