"""Export jobs: started once, waited for, and gone on with by the run after one that died.

State, under `bookmarks.forecast_exports.jobs`, a list of objects: `export` (its name), `job_id`,
`started_at`, `request` (the body of the POST), and `loaded` once its rows were sent. It is sent as
soon as a job is made, before the first question about it, and emptied when a run came to its end.
A list, since Meltano merges partial states: of an object it would keep what was removed.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from tap_clari.answer import Answer, Export, ExportFailedError, moment
from tap_clari.client import LimitReachedError
from tapsupport.errors import TapError
from tapsupport.http import RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_clari.client import Clari, Job
    from tap_clari.patience import Patience

logger = logging.getLogger(__name__)

MOST_STARTS = 4  # of one export, when the answers to the first ones are lost
DONE = "DONE"
ENDED_BADLY = ("FAILED", "CANCELLED", "ABORTED")


class ExportJobs:
    """The jobs of one run, and those that an earlier run left in `state`.

    Args:
        clari: The API.
        jobs: What the state has of jobs.
        save: Puts the jobs into the state and sends it.
        patience: How to wait.
    """

    def __init__(
        self,
        clari: Clari,
        jobs: list[dict[str, Any]],
        save: Callable[[list[dict[str, Any]]], None],
        patience: Patience,
    ) -> None:
        self._clari = clari
        self._jobs = {str(job["export"]): job for job in jobs}
        self._save_jobs = save
        self._patience = patience

    def begin(self, exports: Sequence[Export]) -> None:
        """Forget jobs that are of no use to this run, and see whether it can be paid for.

        Raises:
            TapError: less quota is left than this run would spend; it has spent nothing.
        """
        self._jobs = {e.name: self._jobs[e.name] for e in exports if self._can_go_on_with(e)}
        if missing := len(exports) - len(self._jobs):
            self._refuse_beyond_quota(self._clari.limits(), missing)

    def is_loaded(self, export: Export) -> bool:
        return bool(self._jobs.get(export.name, {}).get("loaded"))

    def start(self, export: Export) -> None:
        """Make sure that there is a job, in the state too.

        Raises:
            TapError: Clari refused, or had no room in time.
        """
        if export.name in self._jobs:
            logger.info("Going on with the job that an earlier run started: %s.", export.name)
            return
        self._jobs[export.name] = {
            "export": export.name,
            "started_at": dt.datetime.now(dt.UTC).isoformat(),
            "job_id": self._started(export),
            "request": dict(export.request),
        }
        self._save()

    def answer(self, export: Export) -> tuple[Job, Answer]:
        """Wait for the export's job and fetch its result.

        Raises:
            ExportFailedError: the job ended badly or the file is wrong; the job is forgotten.
            TapError: the job did not end in time; the next run goes on waiting for it.
        """
        try:
            job = self._finished(export)
            content = self._clari.results(job.id)
            return job, Answer(export, _ended_at(export, job), content)
        except ExportFailedError:
            del self._jobs[export.name]
            self._save()
            raise

    def mark_loaded(self, export: Export) -> None:
        self._jobs[export.name]["loaded"] = True
        self._save()

    def _save(self) -> None:
        self._save_jobs(list(self._jobs.values()))

    def _can_go_on_with(self, export: Export) -> bool:
        job = self._jobs.get(export.name)
        if job is None or job["request"] != dict(export.request):
            return False
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(job["started_at"])
        return age <= self._patience.resume_within

    def _refuse_beyond_quota(self, limits: dict[str, Any], needed: int) -> None:
        left = limits["availableMonthlyQuota"]
        if left < needed:
            raise TapError(
                f"Clari has {left} exports left of the organisation's {limits.get('monthlyQuota')} "
                f"in 30 days, and this run needs {needed}; none was started. Run it in a few days, "
                "with fewer forecast_ids or time_periods, or ask Clari for a higher quota."
            )

    def _has_room(self) -> bool:
        limits = self._clari.limits()
        self._refuse_beyond_quota(limits, 1)
        return bool(limits["availableConcurrentLimit"] > 0)

    def _started(self, export: Export) -> str:
        """Start a job when there is room for it; return its id."""
        known = {job.id for job in self._clari.jobs()}
        lost: list[RetriableError] = []
        for pause in self._patience.pauses():
            seconds = pause
            try:
                if self._has_room():
                    return self._clari.start_export(export.forecast_id, export.request)
            except LimitReachedError as error:
                logger.info("%s Another run was faster; waiting for room.", error)
            except RetriableError as error:
                logger.warning("%s Looking whether the job was made all the same.", error)
                lost.append(error)
                seconds = pause if error.wait_seconds is None else error.wait_seconds
            self._patience.pause(seconds)
            if lost and (found := self._made_anyway(export, known)):
                return found
            if len(lost) == MOST_STARTS:
                raise lost[-1]
        raise TapError(
            f"Clari let no job for {export.name} start within {self._patience.most_seconds:g} s, "
            "since the organisation has as many running as it may. Run again later, or raise "
            "job_timeout_seconds."
        )

    def _made_anyway(self, export: Export, known: set[str]) -> str | None:
        """Find the job of a POST whose answer was lost.

        A job does not say its forecast or quarter, but for the name of its file, which ends with
        both in the documented example. One without a name is taken if it is the only new one.
        """
        new = [job for job in self._clari.jobs() if job.id not in known]
        new = [job for job in new if job.properties.get("module") in (None, "FORECAST")]
        ending = f"_{export.forecast_id}_{export.time_period_id}."
        named = [job for job in new if ending in str(job.properties.get("fileName") or ending)]
        ours = {job["job_id"] for job in self._jobs.values()}
        found = [job.id for job in named if job.id not in ours]
        if len(found) > 1:
            raise TapError(
                f"Clari lost the answer to the start of {export.name}, and {len(found)} new jobs "
                "may be that one. Run again when no other run uses this api_token."
            )
        return found[0] if found else None

    def _finished(self, export: Export) -> Job:
        job_id = self._jobs[export.name]["job_id"]
        for seconds in self._patience.pauses():
            job = self._clari.job(job_id)
            if job.status == DONE:
                _refuse_truncated(export, job)
                return job
            if job.status in ENDED_BADLY:
                raise ExportFailedError(
                    f"Clari's job {job_id} for {export.name} ended as {job.status}. Run again; "
                    "that starts a new job and spends quota."
                )
            self._patience.pause(seconds)
        raise TapError(
            f"Clari's job {job_id} for {export.name} was still {job.status} after "
            f"{self._patience.most_seconds:g} s. Run again: that waits for the same job and spends "
            "no quota; or raise job_timeout_seconds."
        )


def _ended_at(export: Export, job: Job) -> str:
    ended_at = moment(job.properties.get("endTime"))
    if ended_at is None:
        raise ExportFailedError(
            f"Clari's job {job.id} for {export.name} is DONE without an endTime, by which exports "
            "are told apart; report it."
        )
    return ended_at


def _refuse_truncated(export: Export, job: Job) -> None:
    cut = [name for name in ("rowsTruncated", "cellsTruncated") if job.properties.get(name)]
    if cut:
        raise ExportFailedError(
            f"Clari's job {job.id} for {export.name} says {' and '.join(cut)}: its file is not "
            "whole and was not loaded. Ask for less with scope_id or types_to_export."
        )
