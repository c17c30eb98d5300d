"""Object Storage, as the reports need it: listing, reading one object, what a failure means.

Sources: "oci.md", section 4. The SDK's own retries are off: they stop at a body's first byte and
do not know Retry-After.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import oci
from oci.auth.certificate_retriever import InvalidCertificateFromInstanceMetadataError

from tap_oci.retry import BROKEN, ChangedError, GoneError, broken, persist
from tapsupport.errors import TapError
from tapsupport.http import MOST_WAIT_SECONDS, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import urllib3
    from oci.object_storage import ObjectStorageClient

FIELDS = "name,size,etag,md5,timeCreated"  # only names come without being asked for
NOT_IMPLEMENTED = 501
CONFLICTS_THAT_PASS = ("IncorrectState", "LockConflict")
BROKEN_BEFORE_THE_BODY = (
    *BROKEN,
    oci.exceptions.RequestException,
    oci.exceptions.ConnectTimeout,
    oci.exceptions.BaseRequestException,
)
NOT_UNDERSTOOD = (
    ValueError,  # an answer that the SDK could not read, a proxy's page for example
    RuntimeError,  # likewise of the platform, when a token was to be renewed to sign the request
    InvalidCertificateFromInstanceMetadataError,
)


@dataclass(frozen=True)
class ReportFile:
    """An object as it was listed: `size` in bytes, `md5` in base64."""

    name: str
    size: int
    etag: str
    md5: str
    created: datetime


class Storage:
    """One bucket.

    Args:
        client: Oracle's client, which signs the requests.
        namespace: The bucket's namespace.
        bucket: Its name.
        before: Called before every try; may raise to end the run.
    """

    def __init__(
        self,
        client: ObjectStorageClient,
        namespace: str,
        bucket: str,
        before: Callable[[], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._bucket = bucket
        self.before = before

    @property
    def endpoint(self) -> str:
        """The URL of Object Storage that is asked."""
        return str(self._client.base_client.endpoint)

    def files(self, prefix: str, start: str | None) -> Iterator[ReportFile]:
        """List what begins with the prefix, in the order of names, from `start` on.

        Raises:
            TapError: the bucket cannot be listed, or the answer is no listing.
        """
        while True:
            page = self._page(prefix, start)
            yield from (_report_file(found) for found in page.objects)
            start = page.next_start_with  # the SDK's has_next_page stays false here
            if start is None:
                return

    def current(self, name: str) -> ReportFile:
        """List one object again.

        Raises:
            GoneError: it is not there any more.
        """
        for found in self._page(name, name, limit=1).objects:
            if found.name == name:
                return _report_file(found)
        raise GoneError(f"Oracle's bucket has no object {name} any more.")

    def body(self, file: ReportFile) -> urllib3.BaseHTTPResponse:
        """Open the object as it was listed; one try. The caller reads the bytes, and closes it.

        Raises:
            ChangedError: it was written anew since.
            GoneError: it is not there any more.
            RetriableError: another try may help.
            TapError: it may not be read.
        """
        doing = f"Reading {file.name}"
        response = call(
            doing, self._client.get_object, self._namespace, self._bucket, file.name,
            if_match=file.etag, retry_strategy=oci.retry.NoneRetryStrategy(),
        )  # fmt: skip
        raw: urllib3.BaseHTTPResponse = response.data.raw
        return raw

    def _page(self, prefix: str, start: str | None, limit: int = 1000) -> Any:  # noqa: ANN401 - SDK
        doing = f"Listing {prefix} in Oracle's bucket"

        def ask() -> Any:  # noqa: ANN401 - the SDK's ListObjects, which has no types
            page = call(
                doing, self._client.list_objects, self._namespace, self._bucket,
                prefix=prefix, start=start, limit=limit, fields=FIELDS,
                retry_strategy=oci.retry.NoneRetryStrategy(),
            ).data  # fmt: skip
            if getattr(page, "objects", None) is None:
                raise RetriableError(
                    f"{doing} brought an answer without a list of objects. See whether "
                    "service_endpoint is the address of Object Storage, and a proxy in between."
                )
            return page

        return persist(ask, self.before)


def call(doing: str, method: Callable[..., Any], *arguments: str, **options: Any) -> Any:  # noqa: ANN401 - the SDK has no types
    """Call the SDK once; see `Storage.body` for what is raised."""
    try:
        return method(*arguments, **options)
    except oci.exceptions.ServiceError as error:
        raise _refused(doing, error) from None
    except BROKEN_BEFORE_THE_BODY as error:
        raise broken(doing, error) from None
    except NOT_UNDERSTOOD as error:
        raise broken(doing, error) from None


def _refused(doing: str, error: oci.exceptions.ServiceError) -> TapError:
    """The error that fits a status ("oci.md", section 4, Errors)."""
    status, code = int(error.status), str(error.code)
    found = f"{doing} failed: Oracle Cloud answered {status} {code}"
    passes = status == 409 and code in CONFLICTS_THAT_PASS  # noqa: PLR2004 - Conflict
    busy = status == 429 or status >= 500  # noqa: PLR2004 - TooManyRequests, a server's error
    if passes or (busy and status != NOT_IMPLEMENTED):
        return RetriableError(f"{found}. Run again later.", _asked_wait(error))
    if status == 401:  # noqa: PLR2004 - NotAuthenticated
        return TapError(
            f"{found}. Check tenancy, user, fingerprint and the key (key_file or key_content), "
            "and this machine's clock."
        )
    if status == 412:  # noqa: PLR2004 - the entity tag is another one
        return ChangedError(f"{found}: it was written anew since it was listed.", 0.0)
    if code == "ObjectNotFound":
        return GoneError(f"{found}.")
    if status in (403, 404):
        return TapError(
            f"{found}, which also stands for a missing permission. Check that a policy endorses "
            "the user's group to read objects in tenancy usage-report, that region is the home "
            "region, and tenancy."
        )
    return TapError(f"{found}. Check the settings, or report it as a fault of this tap.")


def _asked_wait(error: oci.exceptions.ServiceError) -> float | None:
    asked = str(error.headers.get("Retry-After", ""))
    return min(float(asked), MOST_WAIT_SECONDS) if asked.isdigit() else None


def _report_file(found: Any) -> ReportFile:  # noqa: ANN401 - the SDK's ObjectSummary
    values = (found.size, found.etag, found.md5, found.time_created)
    if None in values:
        raise TapError(
            f"Listing {found.name} brought no size, etag, md5 or time of it, with which to tell "
            "whether it arrives whole. Report it as a fault of this tap."
        )
    return ReportFile(found.name, *values)
