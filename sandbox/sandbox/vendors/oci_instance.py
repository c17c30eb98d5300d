"""What Oracle's SDK asks of the machine that it runs on: its certificate, and a token for it.

Two services stand here: the metadata service of an instance (`OCI_METADATA_BASE_URL` is the SDK's
variable for its address) and the tenancy's auth service, which gives a token for the instance's
certificate. They follow what the SDK sends, version 2.189. They depart from Oracle in that no
signature is verified and any certificate is good that was given out here; both answer at one host.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.vendors.oci_rows import TENANCY

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from starlette.requests import Request
    from starlette.routing import BaseRoute

REGION_KEY = "iad"  # of us-ashburn-1; an instance may be told either
DELEGATION_TOKEN = "sandbox-delegation"  # noqa: S105 - invented, for this stand-in alone
METADATA = "/opc/v2"
FEDERATION = "/v1/x509"
KEY_ID = re.compile(r'keyId="([^"]*)"')
PEM_LINES = re.compile(r"-----[A-Z ]+-----|\s")


@cache
def instance_key() -> RSAPrivateKey:
    """The instance's own key, one a process: to make it takes a while."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - its import too

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def instance_certificate() -> x509.Certificate:
    """A certificate for the key, which tells the tenancy where Oracle's do."""
    from cryptography import x509  # noqa: PLC0415 - takes a while
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - likewise
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - likewise

    unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"opc-tenant:{TENANCY}")
    name = x509.Name([unit])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, instance_key().public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(instance_key(), hashes.SHA256())
    )


@dataclass
class Instance:
    """One compute instance of the tenancy.

    Attributes:
        token_ends: When each session token ends that was given out, in seconds since the epoch.
        token_seconds: How long the next ones are good for.
    """

    token_ends: dict[str, float] = field(default_factory=dict)
    token_seconds: float = 1200.0

    def token(self) -> str:
        """Give out a session token, as the auth service does and as a function is given one."""
        now = time.time()
        ends = now + self.token_seconds
        claims = {"iat": now, "exp": ends, "res_tenant": TENANCY}
        token = jwt.encode(
            {**claims, "jti": str(len(self.token_ends))}, "the sandbox's signing key, no secret"
        )
        self.token_ends[token] = ends
        return token

    def good_tokens(self) -> set[str]:
        """The tokens that have not ended."""
        now = time.time()
        return {token for token, ends in self.token_ends.items() if now < ends}

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{METADATA}/instance/region", self._region),
            Route(f"{METADATA}/identity/{{name}}.pem", self._identity),
            Route(FEDERATION, self._federate, methods=["POST"]),
        ]

    async def _region(self, request: Request) -> Response:
        return _not_oracle(request) or PlainTextResponse(REGION_KEY)

    async def _identity(self, request: Request) -> Response:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - takes a while

        if refused := _not_oracle(request):
            return refused
        pem = serialization.Encoding.PEM
        if request.path_params["name"] == "key":
            plain = serialization.NoEncryption()
            form = serialization.PrivateFormat.PKCS8
            return Response(instance_key().private_bytes(pem, form, plain))
        return Response(instance_certificate().public_bytes(pem))

    async def _federate(self, request: Request) -> Response:
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - takes a while

        body: dict[str, Any] = await request.json()
        pem = instance_certificate().public_bytes(serialization.Encoding.PEM).decode()
        digits = instance_certificate().fingerprint(hashes.SHA1()).hex(":").upper()  # noqa: S303 - Oracle's
        found = KEY_ID.search(request.headers.get("authorization", ""))
        is_known = found and found[1] == f"{TENANCY}/fed-x509/{digits}"
        is_ours = body.get("certificate") == PEM_LINES.sub("", pem) and body.get("publicKey")
        if is_known and is_ours:
            return JSONResponse({"token": self.token()})
        message = "The certificate or the signature is not valid."
        return JSONResponse({"code": "NotAuthenticated", "message": message}, 401)


def _not_oracle(request: Request) -> Response | None:
    """What a request gets that lacks the header which keeps forged requests away."""
    if request.headers.get("authorization") == "Bearer Oracle":
        return None
    return PlainTextResponse("Forbidden", 403)
