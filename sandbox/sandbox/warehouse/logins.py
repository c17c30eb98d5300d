"""Who may log in: passwords, and key pairs (fact sheet snowflake.md, section 8)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import jwt

from sandbox.settings import PASSWORD, WAREHOUSE_READER, WAREHOUSE_USER

if TYPE_CHECKING:
    from pathlib import Path

USERS = (WAREHOUSE_USER, WAREHOUSE_READER)
BAD_PASSWORD = ("390100", "Incorrect username or password was specified.")
BAD_TOKEN = ("390144", "JWT token is invalid.")


def refusal(login: dict[str, Any], keys: Path) -> tuple[str, str] | None:
    """Why this login is refused, as Snowflake's code and message; None when it is good.

    Args:
        login: The `data` of the login request.
        keys: Folder of public keys in PEM, `<user>.pub`.
    """
    user = str(login.get("LOGIN_NAME", "")).lower()
    if login.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
        return None if _token_holds(user, str(login.get("TOKEN", "")), keys) else BAD_TOKEN
    password = str(login.get("PASSWORD", ""))
    is_right = hmac.compare_digest(password.encode(), PASSWORD.encode())
    return None if user in USERS and is_right else BAD_PASSWORD


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
