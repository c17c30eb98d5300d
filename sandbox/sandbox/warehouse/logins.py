"""Who may log in: passwords, OAuth tokens, key pairs (fact sheet snowflake.md, section 8)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import jwt

from sandbox.settings import PASSWORD, WAREHOUSE_READER, WAREHOUSE_USER

if TYPE_CHECKING:
    from pathlib import Path

USERS = (WAREHOUSE_USER, WAREHOUSE_READER)
BAD_PASSWORD = ("390100", "Incorrect username or password was specified.")
BAD_OAUTH_TOKEN = ("390303", "Invalid OAuth access token.")
BAD_TOKEN = ("390144", "JWT token is invalid.")


def refusal(login: dict[str, Any], keys: Path) -> tuple[str, str] | None:
    """Why this login is refused, as Snowflake's code and message; None when it is good.

    Args:
        login: The `data` of the login request.
        keys: Folder of public keys in PEM, `<user>.pub`, and of secrets, `<user>.secret`: an OAuth
            token, and a password beside the sandbox's own.
    """
    user = str(login.get("LOGIN_NAME", "")).lower()
    token = str(login.get("TOKEN", ""))
    if login.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
        return None if _token_holds(user, token, keys) else BAD_TOKEN
    own = keys / f"{user}.secret"
    secrets = [own.read_text()] if user in USERS and own.exists() else []
    if login.get("AUTHENTICATOR") == "OAUTH":
        return None if _is_one_of(token, secrets) else BAD_OAUTH_TOKEN
    is_right = _is_one_of(str(login.get("PASSWORD", "")), [PASSWORD, *secrets])
    return None if user in USERS and is_right else BAD_PASSWORD


def _is_one_of(given: str, secrets: list[str]) -> bool:
    return any(hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets)


def _token_holds(user: str, token: str, keys: Path) -> bool:
    key = keys / f"{user}.pub"
    if user not in USERS or not key.exists():
        return False
    try:
        claims = jwt.decode(
            token, key.read_text(), algorithms=["RS256"], options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError:
        return False
    return str(claims.get("sub", "")).lower().endswith(f".{user}")
