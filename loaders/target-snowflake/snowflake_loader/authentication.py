"""How the loader proves who it is; settings are called as in MeltanoLabs' target."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = ("private_key", "private_key_path", "password", "oauth_access_token")


def login(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connector's arguments for the one authentication method that is set.

    Raises:
        LoadError: none or several are set, or the private key cannot be read.
    """
    if config.get("use_browser_authentication"):
        return {"authenticator": "externalbrowser"}
    given = [name for name in METHODS if config.get(name)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise LoadError(
            f"To log in to Snowflake exactly one of {', '.join(METHODS)} must be set (or "
            f"use_browser_authentication); found {found}."
        )
    if given[0] == "password":
        return {"password": config["password"]}
    if given[0] == "oauth_access_token":
        return {"authenticator": "oauth", "token": config["oauth_access_token"]}
    return {"authenticator": "SNOWFLAKE_JWT", "private_key": _private_key(config)}


def _private_key(config: Mapping[str, Any]) -> bytes:
    """Return the key as unencrypted PKCS#8 DER, which every connector version takes."""
    content = _key_content(config)
    passphrase = config.get("private_key_passphrase")
    password = passphrase.encode() if passphrase else None
    load = (
        serialization.load_pem_private_key
        if content.lstrip().startswith(b"-----BEGIN")
        else serialization.load_der_private_key
    )
    try:
        key = load(content, password=password)
    except (ValueError, TypeError) as error:
        raise LoadError(
            "The private key for Snowflake could not be read: it must be PKCS#8, as PEM or as "
            "base64 of DER, and private_key_passphrase must be set if and only if it is encrypted."
        ) from error
    return key.private_bytes(
        encoding=serialization.Encoding.DER,
        format=serialization.PrivateFormat.PKCS8,
        encryption_algorithm=serialization.NoEncryption(),
    )


def _key_content(config: Mapping[str, Any]) -> bytes:
    if path := config.get("private_key_path"):
        try:
            return Path(path).expanduser().read_bytes()
        except (OSError, RuntimeError, ValueError) as error:  # also no such home or character
            found = getattr(error, "strerror", None) or str(error).rstrip(".")
            raise LoadError(
                f"The private key file {path} could not be read: {found}. Correct private_key_path."
            ) from error
    # Environment variables often carry a PEM with its line breaks written as \n.
    text = str(config["private_key"]).replace("\\n", "\n")
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise LoadError("private_key is neither a PEM text nor base64.") from error
