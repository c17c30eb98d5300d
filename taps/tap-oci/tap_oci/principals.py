"""Identities that Oracle's platform gives to what runs on it; the SDK asks for them.

Source: "oci.md", section 4, and the SDK's own code: its errors may quote what was answered, so
none of their words are repeated here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import oci
from oci._vendor.requests import RequestException
from oci.auth.certificate_retriever import InvalidCertificateFromInstanceMetadataError
from oci.circuit_breaker import NoCircuitBreakerStrategy

from tap_oci.retry import BROKEN, persist
from tapsupport.errors import TapError
from tapsupport.http import SERVER_ERROR, TOO_MANY, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PASSING = (
    *BROKEN,
    RequestException,  # of the SDK's own copy of requests
    InvalidCertificateFromInstanceMetadataError,  # half of one, perhaps
)
NO_IDENTITY = (
    *PASSING,
    oci.exceptions.BaseRequestException,
    oci.exceptions.ClientError,
    oci.exceptions.ServiceError,
    OSError,  # also what the SDK raises where the platform's variables are missing
    RuntimeError,  # an answer without a token, a certificate without a tenancy
    ValueError,
)
NOT_YET = 404  # a metadata service answers it until the machine's certificate is there


def platform_signer(kind: str, config: Mapping[str, Any], before: Callable[[], None]) -> Any:  # noqa: ANN401 - the SDK has no types
    """Make what signs requests, as the setting `authentication` says; it renews its own token.

    Raises:
        TapError: there is no identity to be had.
    """
    make = _maker(kind, config)
    return persist(lambda: _ask(kind, make), before)


def _maker(kind: str, config: Mapping[str, Any]) -> Callable[[], Any]:
    token = config.get("delegation_token")
    if kind == "delegation_token" and not token:
        raise TapError("authentication delegation_token needs the setting delegation_token.")
    signers = oci.auth.signers
    of_instance = {
        "federation_endpoint": config.get("federation_endpoint"),
        "federation_client_retry_strategy": oci.retry.NoneRetryStrategy(),
        "federation_client_circuit_breaker_strategy": NoCircuitBreakerStrategy(),
        "retry_strategy": oci.retry.NoneRetryStrategy(),
    }
    makers: dict[str, Callable[[], Any]] = {
        "instance_principal": partial(signers.InstancePrincipalsSecurityTokenSigner, **of_instance),
        "delegation_token": partial(
            signers.InstancePrincipalsDelegationTokenSigner, delegation_token=token, **of_instance
        ),
        "resource_principal": signers.get_resource_principals_signer,
        "workload_identity": signers.get_oke_workload_identity_resource_principal_signer,
    }
    return makers[kind]


def _ask(kind: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - a signer, untyped
    try:
        return make()
    except NO_IDENTITY as error:
        status = getattr(error, "status", None)
        found = f"it answered {status}" if status else type(error).__name__
        text = (
            f"Getting an identity from Oracle Cloud for authentication {kind} failed ({found}). It "
            "works within Oracle Cloud only; elsewhere set authentication to api_key."
        )
        passes = status is not None and (status in (NOT_YET, TOO_MANY) or status >= SERVER_ERROR)
        if passes or isinstance(error, PASSING):
            raise RetriableError(text) from None
        raise TapError(text) from None
