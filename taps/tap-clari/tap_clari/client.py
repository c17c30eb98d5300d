"""Clari's API: how it is asked, how it refuses, and what its answers must have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
import requests
from requests.auth import AuthBase
from typing_extensions import override

from tap_clari.answer import ExportFailedError
from tapsupport.errors import TapError
from tapsupport.http import HttpSession, json_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HEADER = "apikey"
AUDIT_PAGE_SIZE = 1000  # the most there is
BAD_REQUEST, FORBIDDEN = 400, 403
UNKNOWN_JOB = "invalid_jobId"
LIMIT_REACHED = "export_monthly_quota_reached"
SOMETHING_WRONG = "SWW"
EXPLANATIONS = {
    "no_optin": "the user of api_token is not opted in to this forecast, or not for scope_id; "
    "let an administrator of Clari opt that user in, or correct forecast_ids",
    "no_such_forecast_config": "there is no such forecast; its id stands in the browser's address "
    "while the forecast tab is open. Correct forecast_ids",
    "type_not_supported": "correct types_to_export",
}


class LimitReachedError(TapError):
    """An export was refused: the quota is used up, or too many jobs run; the code is the same."""


class SessionOfOneServer(requests.Session):
    """Takes the token off a request that is redirected to another server.

    `requests` does so with the header Authorization only.
    """

    @override
    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]  # stubs
        asked, told = response.request.url, prepared_request.url
        if self.should_strip_auth(asked, told):  # type: ignore[no-untyped-call]  # likewise
            prepared_request.headers.pop(HEADER, None)


class Authorization(AuthBase):
    """The header `apikey`, lower case and without a word before the token ("clari.md" 2)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[HEADER] = self._token
        return request


@dataclass(frozen=True)
class Job:
    """What Clari says of an export job; the status may be any word."""

    id: str
    status: str
    properties: Mapping[str, Any]


class Clari:
    """The calls that this tap makes ("clari.md" 3 to 8).

    GET is tried again. The POST that starts an export never is: each one that is accepted spends
    quota, and there is no key to tell a repeated one by.
    """

    def __init__(self, api_url: str, api_token: str, before: Callable[[], None]) -> None:
        self._http = HttpSession(
            base_url=api_url.rstrip("/"),
            vendor="Clari",
            credentials="api_token, which ends with the user who made it",
            auth=Authorization(api_token),
            message=_words,
            before=before,
            session=SessionOfOneServer(),
        )
        self._once = replace(self._http, tries=1)

    def limits(self) -> dict[str, Any]:
        """The object `jobs` of `/admin/limits`: quota, concurrency, and what is left of them."""
        limits: dict[str, Any] = _property(
            self._get("/admin/limits"), "jobs", dict, "/admin/limits"
        )
        for name in ("availableMonthlyQuota", "availableConcurrentLimit"):
            _property(limits, name, int, "/admin/limits")
        return limits

    def start_export(self, forecast_id: str, request: Mapping[str, Any]) -> str:
        """Start an export and return the job's id; spends quota.

        Raises:
            LimitReachedError: there was no room for it; nothing was spent.
            RetriableError: it is not known whether the job was made.
            TapError: refused for good.
        """
        path = f"/export/forecast/{quote(forecast_id, safe='')}"
        response = self._once.post(path, json=dict(request), accept=(200, 201, 202, BAD_REQUEST))
        if response.status_code != BAD_REQUEST:
            return str(_property(_json(response), "jobId", str, path))
        refusal = f"Clari: POST {path} for {request['timePeriod']} answered 400: {_words(response)}"
        if _code(response) == LIMIT_REACHED:
            raise LimitReachedError(f"{refusal}.")
        raise TapError(f"{refusal}. Correct the settings.")

    def jobs(self) -> list[Job]:
        """The jobs of the token's user."""
        found = self._get("/export/jobs")
        if not isinstance(found, list):
            raise TapError("Clari: GET /export/jobs did not answer with a list; report it.")
        return [_job(each, "/export/jobs") for each in found]

    def job(self, job_id: str) -> Job:
        """What the job does now.

        Raises:
            ExportFailedError: Clari does not know it, or it is another user's.
        """
        path = f"/export/jobs/{job_id}"
        response = self._http.get(path, accept=(200, FORBIDDEN), retry=_job_may_pass)
        if response.status_code == FORBIDDEN:
            raise _gone(response)
        return _job(_json(response), path)

    def results(self, job_id: str) -> bytes:
        """The file of a job that is done: one JSON object, whole in memory."""
        path = f"/export/jobs/{job_id}/results"
        return self._http.get(path, retry=_may_pass).content

    def audit_pages(self, since: str | None) -> Iterator[dict[str, Any]]:
        """Pages of audit events, `items` and `actors`, of the last 30 days or since a moment.

        Raises:
            TapError: a page has no events' list, or its link leads elsewhere or back.
        """
        params = {"limit": AUDIT_PAGE_SIZE, "dateFrom": since}
        page = self._get("/audit/events", params=params)
        links: set[str] = set()
        while True:
            # Another connector has seen `activities` in place of `items`.
            name = "activities" if "activities" in page else "items"
            items = _property(page, name, list, "/audit/events")
            yield {"items": items, "actors": page.get("actors") or []}
            link = page.get("nextLink")
            if not link:
                return
            self._check_link(link, links)
            page = self._get(link)

    def _check_link(self, link: str, links: set[str]) -> None:
        """Refuse to follow a link to another server, which would be given the token."""
        if urlsplit(link)[:2] != urlsplit(self._http.base_url)[:2]:
            raise TapError(
                "Clari: the nextLink of /audit/events leads to another server than api_url, so it "
                "was not followed. Correct api_url."
            )
        if link in links:
            raise TapError("Clari: /audit/events gives the same nextLink again; report it.")
        links.add(link)

    def _get(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - any JSON value
        return _json(self._http.get(path, retry=_may_pass, **options))


def _may_pass(response: requests.Response) -> bool:
    """`SWW` is "something went wrong", answered with 400 by the calls for jobs."""
    return _code(response) == SOMETHING_WRONG


def _job_may_pass(response: requests.Response) -> bool:
    """As `_may_pass`, but no patience with a job that there is not."""
    if _code(response) == UNKNOWN_JOB:
        raise _gone(response)
    return _may_pass(response)


def _gone(response: requests.Response) -> ExportFailedError:
    path = urlsplit(response.url).path
    return ExportFailedError(
        f"Clari: {path} answered {response.status_code}: {_words(response)}. This api_token's user "
        "has no such job. Run again; that starts a new one and spends quota."
    )


def _code(response: requests.Response) -> str:
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return ""
    return str(body.get("code") or "") if isinstance(body, dict) else ""


def _words(response: requests.Response) -> str:
    """Code, message and, where one can be given, what to do."""
    code = _code(response)
    said = (code, json_message(response).rstrip("."), EXPLANATIONS.get(code))
    return ": ".join(part for part in said if part)


def _json(response: requests.Response) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        path = urlsplit(response.url).path
        raise TapError(f"Clari: {path} did not answer with JSON. Check api_url.") from None


def _job(found: Any, path: str) -> Job:  # noqa: ANN401 - what a server said
    """Read a job object, flat as documented or wrapped in `job` as seen in practice."""
    flat = found.get("job", found) if isinstance(found, dict) else {}
    job_id = flat.get("jobId") or flat.get("id")
    status = flat.get("status")
    if not job_id or not status:
        raise TapError(f"Clari: GET {path} gave a job without an id or a status; report it.")
    return Job(str(job_id), str(status), flat)


def _property(found: Any, name: str, kind: type, path: str) -> Any:  # noqa: ANN401 - any JSON value
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, kind):
        raise TapError(f"Clari: {path} answered without {name}. Check api_url, or report it.")
    return value
