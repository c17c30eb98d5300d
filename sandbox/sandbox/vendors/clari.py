"""Stand-in for Clari's Revenue API, version 4: forecast exports, limits and audit events."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors.clari_audit import actors, audit_events
from sandbox.vendors.clari_forecasts import Forecasts, last_week_only
from sandbox.vendors.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

Row = dict[str, Any]
Handler = Any  # an async function of a request
TYPES = ("forecast", "quota", "forecast_updated", "adjustment", "crm_total", "crm_closed")
ENDS = ("DONE", "FAILED", "CANCELLED", "ABORTED")
MOST_AUDIT_EVENTS = 1000
NOT_FOUND = {"message": "no Route matched with those values", "request_id": "0f5c"}


@dataclass
class ExportJob:
    """A job and its file, which is made when the job is: later changes are not in it."""

    id: str
    forecast_id: str
    request: Row
    content: Row
    started_at: int
    flags: Row
    looks: int = 0


class Clari(Vendor):
    """Two forecasts over four quarters: two that are over, the current one and the next.

    Departures: every request moves all jobs on, where the vendor's take their time; a job ends a
    minute after it started; jobs cannot be cancelled, nothing expires, and the quota is not given
    back after 30 days. Only what is listed here is served, not activities and opportunities.

    Attributes:
        size: Entries of a week and forecast (four for each person), and audit events.
        today: The day it takes for today; the real one by default.
        forecasts: The numbers, who has left, and the form of some values.
        opted_out: Forecasts that the token's user is not opted in to.
        jobs: Every job so far; each was a POST that was accepted.
        monthly_quota, concurrent_limit, others_running: Limits, and jobs of other users.
        looks_until_done: How many requests a job takes; a large number is a job that hangs.
        final_status: How jobs end.
        flags: What new jobs say beside their status: rowsTruncated, cellsTruncated and so on.
        events: Audit events, newest first.
    """

    name: ClassVar[str] = "clari"
    token: ClassVar[str] = "sandbox-clari-token"  # noqa: S105 - invented
    forecast_ids: ClassVar[tuple[str, ...]] = ("net_arr", "net_arr_ps_summary")

    def __init__(self, size: int = 200, today: dt.date | None = None) -> None:
        super().__init__(size)
        self.today = today or dt.datetime.now(dt.UTC).date()
        self.forecasts = Forecasts(self.forecast_ids, max(size // 4, 3), self.today)
        self.opted_out: set[str] = set()
        self.jobs: list[ExportJob] = []
        self.monthly_quota, self.concurrent_limit, self.others_running = 1000, 3, 0
        self.looks_until_done = 3
        self.final_status = "DONE"
        self.flags: Row = {}
        self.events = audit_events(size, self.today)

    @override
    def routes(self) -> Sequence[BaseRoute]:
        start = self._checked(self._start)
        return [
            Route("/v4/admin/limits", self._checked(self._limits)),
            Route("/v4/export/jobs", self._checked(self._list)),
            Route("/v4/export/jobs/{job_id}", self._checked(self._status)),
            Route("/v4/export/jobs/{job_id}/results", self._checked(self._results)),
            Route("/v4/export/forecast/{forecast_id}", start, methods=["POST"]),
            Route("/v4/audit/events", self._checked(self._audit)),
            Route("/{path:path}", self._unknown, methods=["GET", "POST", "PATCH"]),
        ]

    # Endpoints

    def _checked(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            if request.headers.get("apikey") != self.token:
                return JSONResponse({"message": "Invalid authentication credentials"}, 401)
            for job in self.jobs:
                job.looks += 1
            answer: Response = await handler(request)
            return answer

        return checked

    async def _unknown(self, _: Request) -> Response:
        return JSONResponse(NOT_FOUND, 404)

    async def _limits(self, _: Request) -> Response:
        running = [job.id for job in self.jobs if self._status_of(job) == "STARTED"]
        limits = {
            "concurrentLimit": self.concurrent_limit,
            "monthlyQuota": self.monthly_quota,
            "submittedJobIds": [job.id for job in self.jobs if self._is_active(job)],
            "availableConcurrentLimit": max(self.concurrent_limit - self._active, 0),
            "availableMonthlyQuota": self.monthly_quota - len(self.jobs),
        }
        return JSONResponse({"jobs": limits | ({"runningJobIds": running} if running else {})})

    async def _start(self, request: Request) -> Response:
        forecast_id = request.path_params["forecast_id"]
        try:
            body = json.loads(await request.body())
            types = body.get("typesToExport", ["forecast", "forecast_updated"])
        except (ValueError, AttributeError):
            return _refusal("bad_request", "Malformed body")
        refusal = self._reason_against(forecast_id, types, body.get("currency") or "USD")
        return refusal or JSONResponse({"jobId": self._new_job(forecast_id, body, types).id})

    def _reason_against(
        self, forecast_id: str, types: Sequence[str], currency: str
    ) -> Response | None:
        if forecast_id not in self.forecast_ids:
            return _refusal("no_such_forecast_config", f"No such forecast: {forecast_id}")
        if forecast_id in self.opted_out:
            return _refusal("no_optin", "User is not opted in", 401)
        if not set(types) <= set(TYPES) or len(currency) != len("USD"):
            return _refusal("bad_request", "Bad type or currency")
        if {"crm_total", "crm_closed"} & set(types):
            return _refusal("type_not_supported", "Use the Forecast API for CRM types")
        if len(self.jobs) >= self.monthly_quota or self._active >= self.concurrent_limit:
            return _refusal("export_monthly_quota_reached", "Export limit reached")
        return None

    async def _list(self, _: Request) -> Response:
        return JSONResponse([self._job_object(job) for job in self.jobs])

    async def _status(self, request: Request) -> Response:
        job = self._find(request)
        if job is None:
            return _refusal("invalid_jobId", "No such job")
        found = self._job_object(job)
        return JSONResponse({"job": found} if self.jobs.index(job) % 2 else found)

    async def _results(self, request: Request) -> Response:
        job = self._find(request)
        if job is None or self._status_of(job) != "DONE":
            return _refusal("invalid_jobId", "Job is not done")
        return JSONResponse(job.content)

    async def _audit(self, request: Request) -> Response:
        query = request.query_params
        limit, start = int(query.get("limit", 100)), int(query.get("cursor", 0))
        if not 1 <= limit <= MOST_AUDIT_EVENTS:
            return JSONResponse({"errors": [{"status": 400, "message": "limit: 1 to 1000"}]}, 400)
        default = dt.datetime.combine(self.today, dt.time(), dt.UTC) - dt.timedelta(days=30)
        since = dt.datetime.fromisoformat(query.get("dateFrom", default.isoformat()))
        found = [e for e in self.events if dt.datetime.fromisoformat(e["eventTimestamp"]) >= since]
        page: Row = {"items": found[start : start + limit], "actors": actors()}
        if start + limit < len(found):
            link = request.url.include_query_params(cursor=start + limit)
            page["nextLink"] = str(link)
        return JSONResponse(page)

    # Jobs

    def _new_job(self, forecast_id: str, body: Row, types: Sequence[str]) -> ExportJob:
        asked = body.get("timePeriod")
        quarter = asked if asked in self.forecasts.quarters else self.forecasts.current
        content = self.forecasts.shown(forecast_id, quarter, types)
        if not body.get("includeHistorical"):
            content = last_week_only(content)
        # The order of weeks, as of everything else, is not defined.
        chance = random.Random(len(self.jobs))  # noqa: S311 - nothing secret
        shuffled = {name: chance.sample(rows, len(rows)) for name, rows in content.items()}
        noon = dt.datetime.combine(self.today, dt.time(12), dt.UTC)
        started_at = int(noon.timestamp()) * 1000 + len(self.jobs) * 1000
        job_id = f"60aa{len(self.jobs) + 1:020d}"
        job = ExportJob(job_id, forecast_id, body, shuffled, started_at, dict(self.flags))
        self.jobs.append(job)
        return job

    @property
    def _active(self) -> int:
        return sum(map(self._is_active, self.jobs)) + self.others_running

    def _is_active(self, job: ExportJob) -> bool:
        return self._status_of(job) not in ENDS

    def _status_of(self, job: ExportJob) -> str:
        if job.looks >= self.looks_until_done:
            return self.final_status
        return "STARTED" if job.looks > 1 else "SCHEDULED"

    def _find(self, request: Request) -> ExportJob | None:
        return next((j for j in self.jobs if j.id == request.path_params["job_id"]), None)

    def _job_object(self, job: ExportJob) -> Row:
        ended_at = job.started_at + 60_000
        name = f"clari_export_forecast_{job.forecast_id}_{job.request.get('timePeriod')}.json"
        return {
            "jobId": job.id,
            "userId": 1,
            "orgId": 101,
            "title": job.forecast_id.replace("_", " ").title(),
            "module": "FORECAST",
            "startTime": job.started_at,
            "endTime": None if self._is_active(job) else ended_at,
            "expiredTime": ended_at + 30 * 86_400_000,
            "version": 1,
            "fileName": name,
            "fileType": "JSON",
            "status": self._status_of(job),
            "viewed": False,
            "downloads": 0,
            "deliveryStatusMap": {},
            "currency": job.request.get("currency") or "USD",
            "cellsTruncated": False,
            "rowsTruncated": False,
            **job.flags,
        }


def _refusal(code: str, message: str, status: int = 400) -> Response:
    body = {
        "code": code,
        "namespace": "export",
        "errorId": "e-1",
        "message": message,
        "orgId": 101,
    }
    return JSONResponse(body, status)
