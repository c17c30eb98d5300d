"""Stand-in for Oracle Cloud: Object Storage with the tenancy's reports, and its home region.

Who asks is known by a user's key, a session token, or as an instance (`oci_instance`).

Source: `oci.md`, sections 1, 4 and 5. It departs from Oracle in these: a request is known by the
key id of its signature, the signature itself is not verified, so that any RSA key will do; listing
knows no delimiter; reading knows no ranges and no versions.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sandbox.vendors.oci_instance import DELEGATION_TOKEN, KEY_ID, Instance
from sandbox.vendors.oci_rows import FIRST_DAY, TENANCY, Report
from sandbox.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.routing import BaseRoute

USER = "ocid1.user.oc1..aaaaaaaasandboxsandboxsandboxsandboxsandboxsandboxsandboxsandbox"
FINGERPRINT = "5a:6e:db:0c:5a:6e:db:0c:5a:6e:db:0c:5a:6e:db:0c"
SESSION_TOKEN = "sandbox-session"  # noqa: S105 - invented, for this stand-in alone
HOME_REGION = "us-ashburn-1"
NAMESPACE = "bling"
COST, USAGE, FOCUS = "reports/cost-csv/", "reports/usage-csv/", "FOCUS Reports/"

LARGEST_PAGE = 1000
FIELDS = ("name", "size", "etag", "timeCreated", "md5", "timeModified")
FIRST_NUMBER = 1000000612344
CHUNK_BYTES = 1 << 20
KEY_NAME = "oci_key.pem"


@dataclass(frozen=True)
class StoredObject:
    """An object of the bucket."""

    name: str
    body: bytes
    created: datetime

    @cached_property
    def digest(self) -> bytes:
        return hashlib.md5(self.body, usedforsecurity=False).digest()

    @property
    def etag(self) -> str:
        return self.digest.hex()

    def listed(self, fields: set[str]) -> dict[str, Any]:
        """What a listing shows of it: the name, and no more than was asked for."""
        moment = self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {
            "name": self.name,
            "size": len(self.body),
            "etag": self.etag,
            "md5": base64.b64encode(self.digest).decode(),
            "timeCreated": moment,
            "timeModified": moment,
        }
        return {name: values[name] for name in FIELDS if name == "name" or name.lower() in fields}


class OCI(Vendor):
    """A tenancy's bucket of cost and FOCUS reports, one of each a day.

    Every eighth cost report has a second part. There are no usage reports, as Oracle makes none
    any more; `add_usage` puts some of the old ones there.

    Attributes:
        size: Rows of a report.
        objects: What the bucket holds, by name; tests change it and compare with it.
        rewrite_after_listing: Bodies that objects get as soon as they were listed once, by name.
        instance: The machine that instance principals stand for.
    """

    name: ClassVar[str] = "oci"

    def __init__(self, size: int = 40, days: int = 365) -> None:
        super().__init__(size)
        self.objects: dict[str, StoredObject] = {}
        self.rewrite_after_listing: dict[str, bytes] = {}
        self.instance = Instance()
        for day in range(days):
            self.add_day(day)

    def add_day(self, day: int) -> None:
        """Add the reports of the so many-th day."""
        report = self._report(day)
        parts = 2 if day % 8 == 7 else 1  # noqa: PLR2004 - a week and a day
        for part in range(1, parts + 1):
            name = f"{COST}{FIRST_NUMBER + report.number:016}-{part:05}.csv.gz"
            body = Report(report.number + 10_000 * (part - 1), report.created, self.size)
            self.put(name, body.cost_file(), report.created)
        folder = f"{FOCUS}{report.created:%Y/%m/%d}/"
        name = f"{folder}{FIRST_NUMBER + report.number:016}-00001.csv.gz"
        self.put(name, report.focus_file(), report.created)

    def add_usage(self, day: int) -> None:
        """Add a usage report of the so many-th day."""
        report = self._report(day)
        name = f"{USAGE}{FIRST_NUMBER + report.number:016}-00001.csv.gz"
        self.put(name, report.usage_file(), report.created)

    def put(self, name: str, body: bytes, created: datetime) -> None:
        """Write an object, or write over it."""
        self.objects[name] = StoredObject(name, body, created)

    def routes(self) -> list[BaseRoute]:
        bucket = "/n/{namespace}/b/{bucket}/o"
        return [
            Route(bucket, self._list),
            Route(f"{bucket}/{{name:path}}", self._get),
            Route("/20160918/tenancies/{tenancy}/regionSubscriptions", self._regions),
            *self.instance.routes(),
        ]

    async def _regions(self, request: Request) -> Response:
        if refused := self._refusal(request):
            return refused
        if request.path_params["tenancy"] != TENANCY:
            return error(404, "NotAuthorizedOrNotFound", "Authorization failed or not found.")
        regions = {"FRA": "eu-frankfurt-1", "IAD": HOME_REGION}
        return JSONResponse(
            [
                {
                    "regionKey": key,
                    "regionName": name,
                    "status": "READY",
                    "isHomeRegion": name == HOME_REGION,
                }
                for key, name in regions.items()
            ]
        )

    async def _list(self, request: Request) -> Response:
        if refused := self._refusal(request) or no_bucket(request):
            return refused
        asked = request.query_params
        limit = int(asked.get("limit", LARGEST_PAGE))
        fields = {field.strip().lower() for field in asked.get("fields", "name").split(",")}
        unknown = fields - {name.lower() for name in FIELDS} - {"storagetier", "archivalstate"}
        if unknown or not 1 <= limit <= LARGEST_PAGE:
            return error(400, "InvalidParameter", "The limit or a field is not valid.")
        names = sorted(
            name
            for name in self.objects
            if name.startswith(asked.get("prefix", ""))
            and name >= asked.get("start", "")
            and ("startAfter" not in asked or name > asked["startAfter"])
            and ("end" not in asked or name < asked["end"])
        )
        more = names[limit] if len(names) > limit else None
        listed = [self.objects[name].listed(fields) for name in names[:limit]]
        for name in self.rewrite_after_listing.keys() & set(names[:limit]):
            self.put(name, self.rewrite_after_listing.pop(name), self.objects[name].created)
        return JSONResponse({"objects": listed, "prefixes": None, "nextStartWith": more})

    async def _get(self, request: Request) -> Response:
        if refused := self._refusal(request) or no_bucket(request):
            return refused
        found = self.objects.get(request.path_params["name"])
        if found is None:
            return error(404, "ObjectNotFound", "The object was not found in the bucket.")
        if request.headers.get("if-match", found.etag) != found.etag:
            return error(412, "IfMatchFailed", "The If-Match header does not match the ETag.")
        headers = {"etag": found.etag, "content-length": str(len(found.body))}
        return StreamingResponse(_chunks(found.body), 200, headers, "application/gzip")

    def _refusal(self, request: Request) -> Response | None:
        """What a request gets whose signature has another key id than the sandbox's."""
        tokens = {SESSION_TOKEN, *self.instance.good_tokens()}
        known = {f"{TENANCY}/{USER}/{FINGERPRINT}", *(f"ST${token}" for token in tokens)}
        found = KEY_ID.search(request.headers.get("authorization", ""))
        delegated = request.headers.get("opc-obo-token", DELEGATION_TOKEN)
        if found and found[1] in known and delegated == DELEGATION_TOKEN:
            return None
        return error(401, "NotAuthenticated", "The required information to complete authentication "
                     "was not provided or was incorrect.")  # fmt: skip

    def _report(self, day: int) -> Report:
        return Report(day + 1, FIRST_DAY + timedelta(days=day, hours=6, minutes=12), self.size)


def no_bucket(request: Request) -> Response | None:
    """What a request for another namespace or bucket gets; it may as well lack a policy."""
    if (request.path_params["namespace"], request.path_params["bucket"]) == (NAMESPACE, TENANCY):
        return None
    return error(404, "BucketNotFound", "Either the bucket does not exist, or you are not "
                 "authorized to access it.")  # fmt: skip


def error(status: int, code: str, message: str) -> Response:
    """An answer in the form that Oracle's errors have."""
    return JSONResponse({"code": code, "message": message}, status, {"opc-request-id": "SANDBOX"})


def write_key(path: Path) -> None:
    """Make an RSA key to sign with, unless there is one: Oracle's SDK signs with nothing less."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - takes a while
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - likewise

    if path.exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])
