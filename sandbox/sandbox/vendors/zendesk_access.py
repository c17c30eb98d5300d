"""Who may ask the Zendesk stand-in, and how often."""

from __future__ import annotations

import base64
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

SHORTEST_SECONDS, LONGEST_SECONDS = 300, 172_800
MINUTE = 60


@dataclass
class Token:
    """An OAuth access token, and the refresh token that came with it."""

    access: str
    refresh: str | None
    scope: str
    expires_at: float | None


@dataclass
class Access:
    """An account's logins: an API token, an OAuth client, and the tokens that it has given out.

    Attributes:
        email, api_token: The login that Zendesk retires; no `api_token` when it is switched off.
        client_id, client_secret: The OAuth client, a confidential one.
        tokens: The tokens that work, newest last.
    """

    clock: Callable[[], float]
    email: str
    api_token: str | None
    client_id: str
    client_secret: str
    tokens: list[Token] = field(default_factory=list)

    def issue(self, scope: str, lifetime: float | None, *, refreshable: bool) -> Token:
        expires = None if lifetime is None else self.clock() + lifetime
        refresh = secrets.token_hex(16) if refreshable else None
        self.tokens.append(Token(secrets.token_hex(16), refresh, scope, expires))
        return self.tokens[-1]

    def refuse(self, request: Request, *, audits: bool) -> Response | None:
        """The answer to a request that may not go on; None if it may."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic" and self.api_token:
            expected = f"{self.email}/token:{self.api_token}"
            if base64.b64decode(value).decode() == expected:
                return None
        elif kind == "Bearer" and (token := self._valid(value)):
            scopes = token.scope.split()
            if "read" in scopes or (not audits and "tickets:read" in scopes):
                return None
            text = "You are missing the following required scopes: read"
            return JSONResponse({"error": "Forbidden", "description": text}, 403)
        return JSONResponse({"error": "Couldn't authenticate you"}, 401)

    def _valid(self, access: str) -> Token | None:
        now = self.clock()
        alive = [t for t in self.tokens if t.expires_at is None or t.expires_at > now]
        return next((token for token in alive if token.access == access), None)

    def grant(self, body: dict[str, Any]) -> Response:
        """Answer POST /oauth/tokens; a refresh kills both tokens of the old pair."""
        lifetime = body.get("expires_in", LONGEST_SECONDS)
        if not SHORTEST_SECONDS <= lifetime <= LONGEST_SECONDS:
            return _denied(400, "invalid_request", "expires_in is out of range")
        if (body.get("client_id"), body.get("client_secret")) != (
            self.client_id,
            self.client_secret,
        ):
            return _denied(401, "invalid_client", "Client authentication failed")
        scope, grant = body.get("scope", "read"), body.get("grant_type")
        if grant == "client_credentials":
            return _given(self.issue(scope, lifetime, refreshable=False), lifetime)
        old = next((t for t in self.tokens if t.refresh == body.get("refresh_token")), None)
        if grant != "refresh_token" or old is None or old.refresh is None:
            return _denied(400, "invalid_grant", "The provided authorization grant is invalid")
        self.tokens.remove(old)
        return _given(self.issue(old.scope, lifetime, refreshable=True), lifetime)


def _denied(status: int, error: str, text: str) -> Response:
    return JSONResponse({"error": error, "error_description": text}, status)


def _given(token: Token, lifetime: float) -> Response:
    body = {"access_token": token.access, "token_type": "bearer", "scope": token.scope}
    more = {"expires_in": lifetime, **({"refresh_token": token.refresh} if token.refresh else {})}
    return JSONResponse({**body, **more})


@dataclass
class Limits:
    """Requests a minute, counted in minutes of the clock, for the account and for its exports.

    Attributes:
        arrivals: The times of all requests that were answered, for tests.
        refused: How many got 429.
    """

    clock: Callable[[], float]
    per_minute: int
    exports_per_minute: int
    arrivals: list[float] = field(default_factory=list)
    refused: int = 0
    _counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def count(self, *, export: bool) -> Response | None:
        """Count a request; the answer to one that is too many, or None."""
        now = self.clock()
        minute = int(now // MINUTE)
        limits = {"account": self.per_minute}
        if export:
            limits["export"] = self.exports_per_minute
        for name, limit in limits.items():
            self._counts[name, minute] += 1
            if self._counts[name, minute] > limit:
                self.refused += 1
                text = "Number of allowed API requests per minute exceeded"
                wait = str(self._reset(now))
                body = {"error": "APIRateLimitExceeded", "description": text}
                return JSONResponse(body, 429, {"Retry-After": wait, **self.headers()})
        self.arrivals.append(now)
        return None

    def take(self, requests: int) -> None:
        """Others use up some of this minute's requests."""
        self._counts["account", int(self.clock() // MINUTE)] += requests

    def headers(self) -> dict[str, str]:
        now = self.clock()
        used = self._counts["account", int(now // MINUTE)]
        left = str(max(self.per_minute - used, 0))
        return {
            "X-Rate-Limit": str(self.per_minute),
            "X-Rate-Limit-Remaining": left,
            "ratelimit-limit": str(self.per_minute),
            "ratelimit-remaining": left,
            "ratelimit-reset": str(self._reset(now)),
        }

    def _reset(self, now: float) -> int:
        return MINUTE - int(now % MINUTE)
