"""Who asks, and in which region: from the settings to Oracle's client.

Sources: "oci.md", sections 1, 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import oci
from oci.circuit_breaker import NoCircuitBreakerStrategy
from oci.object_storage import ObjectStorageClient

from tap_oci.client import Storage, call
from tap_oci.principals import platform_signer
from tap_oci.retry import persist
from tapsupport.errors import TapError
from tapsupport.http import RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENDPOINTS = ("service_endpoint", "identity_endpoint", "federation_endpoint")
WRONG_SETTINGS = (
    oci.exceptions.InvalidConfig,
    oci.exceptions.ConfigFileNotFound,
    oci.exceptions.ProfileNotFound,
    oci.exceptions.InvalidKeyFilePath,
    oci.exceptions.InvalidPrivateKey,
    oci.exceptions.MissingPrivateKeyPassphrase,
    OSError,  # no such file
    ValueError,
    KeyError,  # no such line in a profile
)


@dataclass
class Identity:
    """What signs the requests.

    Attributes:
        config: The SDK's configuration; has a region to begin with, home or not.
        options: More for the SDK's clients: a signer, where the configuration has no key.
        tenancy: The tenancy's OCID, which is the bucket's name.
    """

    config: dict[str, Any]
    options: dict[str, Any]
    tenancy: str


def connect(config: Mapping[str, Any], before: Callable[[], None]) -> Storage:
    """Make the client that the settings ask for; asks for the home region where none is given.

    Raises:
        TapError: a setting is missing or wrong; the home region cannot be found out.
    """
    for name in ENDPOINTS:
        if config.get(name) and not config[name].startswith(("http://", "https://")):
            raise TapError(f"{name} must be a URL that begins with https://. Correct it.")
    identity = identify(config, before)
    endpoint = config.get("service_endpoint")
    if not (config.get("region") or endpoint):
        look_up = partial(home_region, identity, config.get("identity_endpoint"))
        identity.config["region"] = persist(look_up, before)
    client = ObjectStorageClient(
        identity.config, **identity.options, **_quick(), service_endpoint=endpoint
    )
    return Storage(client, config["namespace"], config.get("bucket") or identity.tenancy, before)


def identify(config: Mapping[str, Any], before: Callable[[], None]) -> Identity:
    """Read the key or ask the platform for an identity, as the setting `authentication` says.

    Raises:
        TapError: it could not be had.
    """
    kind = config["authentication"]
    if kind not in ("api_key", "config_file"):
        return _principal(kind, config, before)
    try:
        return _api_key(config) if kind == "api_key" else _config_file(config)
    except WRONG_SETTINGS as error:
        raise TapError(
            f"Reading the key for Oracle Cloud failed ({type(error).__name__}{_which(error)}). "
            "Check tenancy, user, fingerprint, region, key_file or key_content, pass_phrase, "
            "config_file and profile."
        ) from None


def home_region(identity: Identity, endpoint: str | None) -> str:
    """Ask the identity service for the tenancy's home region, where the reports are.

    Raises:
        RetriableError: another try may help.
        TapError: it does not say; permission to inspect tenancies is needed.
    """
    from oci.identity import IdentityClient  # noqa: PLC0415 - its import takes a while

    client = IdentityClient(
        identity.config, **identity.options, **_quick(), service_endpoint=endpoint
    )
    doing = "Looking up the home region"
    try:
        answer = call(doing, client.list_region_subscriptions, identity.tenancy)
    except RetriableError:
        raise
    except TapError as error:
        raise TapError(
            f"{error} To do without the look-up, set region to the tenancy's home region; else "
            "permit the user to inspect tenancies."
        ) from None
    for region in answer.data:
        if region.is_home_region:
            return str(region.region_name)
    raise TapError(f"{doing} brought none. Set region to the tenancy's home region.")


def _api_key(config: Mapping[str, Any]) -> Identity:
    names = ("user", "tenancy", "fingerprint", "key_file", "key_content", "pass_phrase")
    given = {name: config[name] for name in names if config.get(name)}
    if missing := [name for name in names[:3] if name not in given]:
        raise TapError(f"Reading reports needs {' and '.join(missing)}. Set it, or see "
                       "authentication for other ways to log in.")  # fmt: skip
    if not given.keys() & {"key_file", "key_content"}:
        raise TapError("Signing requests needs a private key. Set key_file or key_content.")
    given["region"] = config.get("region") or config["lookup_region"]
    oci.config.validate_config(given)
    _signer(given)
    return Identity(given, {}, given["tenancy"])


def _config_file(config: Mapping[str, Any]) -> Identity:
    given = oci.config.from_file(
        config.get("config_file") or oci.config.DEFAULT_LOCATION, config["profile"]
    )
    given["region"] = config.get("region") or given.get("region") or config["lookup_region"]
    tenancy = config.get("tenancy") or given["tenancy"]
    token_file = given.get("security_token_file")
    if not token_file:
        oci.config.validate_config(given)
        return Identity(given, {}, tenancy)
    with open(token_file, encoding="utf-8") as file:  # noqa: PTH123 - the profile's own path
        token = file.read().strip()
    key = oci.signer.load_private_key_from_file(given["key_file"], given.get("pass_phrase"))
    signer = oci.auth.signers.SecurityTokenSigner(token, key)
    return Identity({"region": given["region"]}, {"signer": signer}, tenancy)


def _principal(kind: str, config: Mapping[str, Any], before: Callable[[], None]) -> Identity:
    signer = platform_signer(kind, config, before)
    tenancy = config.get("tenancy") or getattr(signer, "tenancy_id", None)
    if not tenancy:
        raise TapError(f"authentication {kind} does not tell the tenancy. Set tenancy.")
    region = config.get("region") or getattr(signer, "region", None) or config["lookup_region"]
    return Identity({"region": region}, {"signer": signer}, tenancy)


def _signer(config: Mapping[str, Any]) -> None:
    """Read the key once, so that a wrong one is told before the first request."""
    oci.signer.Signer(
        tenancy=config["tenancy"],
        user=config["user"],
        fingerprint=config["fingerprint"],
        private_key_file_location=config.get("key_file"),
        pass_phrase=config.get("pass_phrase"),
        private_key_content=config.get("key_content"),
    )


def _quick() -> dict[str, Any]:
    """Without the breaker, which would stop us for 30 s where we mean to try again."""
    return {
        "circuit_breaker_strategy": NoCircuitBreakerStrategy(),
        "retry_strategy": oci.retry.NoneRetryStrategy(),
    }


def _which(error: Exception) -> str:
    """The settings that the SDK calls wrong, without their values."""
    wrong = error.args[0] if error.args else None
    return f": {', '.join(sorted(wrong))}" if isinstance(wrong, dict) else ""
