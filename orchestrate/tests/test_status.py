"""What `status` says of schedules, of which the watch tells what no pod can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from orchestrate.cluster import connect
from orchestrate.cronjob import MANAGED_BY, SCHEDULE_LABEL
from orchestrate.status import read
from orchestrate.testing import ApiServer, kubeconfig
from orchestrate.troubles import alert, news

from sandbox.vendors.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HALF_HOUR = timedelta(minutes=30)
NOW = datetime(2026, 6, 1, 10, 2, 7, tzinfo=UTC)  # the watch's window: after 9:30 to 10:00
LABELS = {**MANAGED_BY, SCHEDULE_LABEL: "zengrc"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ApiServer, str]]:
    server = ApiServer()
    with serve(server) as url:
        yield server, url


@pytest.fixture
def api(
    served: tuple[ApiServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ApiServer:
    """An empty cluster, which the kubeconfig leads to."""
    server, url = served
    server.objects.clear()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(url))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return server


def store(api: ApiServer, *jobs: dict[str, Any], last: datetime | None = None, **spec: Any) -> None:
    """Put a CronJob on the cluster that was made long ago, and its Jobs."""
    metadata = {"name": "zengrc", "labels": LABELS, "creationTimestamp": "2026-01-01T00:00:00Z"}
    cronjob = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {"schedule": "0 0 1 1 *", "suspend": True, **spec},
        "status": {"lastScheduleTime": last.isoformat()} if last else {},
    }
    for document in (cronjob, *jobs):
        api.put(document)


def job(name: str, started: datetime, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": LABELS, "creationTimestamp": started.isoformat()},
        "status": {"startTime": started.isoformat(), **status},
    }


def failed(name: str, moment: datetime, reason: str) -> dict[str, Any]:
    condition = {"type": "Failed", "status": "True", "reason": reason}
    condition["lastTransitionTime"] = moment.isoformat()
    return job(name, moment - timedelta(hours=5), conditions=[condition])


def told(now: datetime = NOW) -> list[str]:
    """The titles of what the watch posts."""
    found = news(read(connect(None), now), now, HALF_HOUR)
    return [alert(status, trouble, None, "tributary").title for status, trouble in found]


def test_a_run_that_was_killed_is_told_though_the_next_has_begun(api: ApiServer) -> None:
    killed = failed("zengrc-1", NOW - timedelta(minutes=9), "PodFailurePolicy")
    following = job("zengrc-2", NOW - timedelta(minutes=3), active=1, ready=1)

    store(api, killed, following)

    assert told() == ["Schedule zengrc failed: PodFailurePolicy"]


def test_a_run_that_was_stopped_is_told_though_the_next_is_late_for_long(api: ApiServer) -> None:
    """A run that lasts into the next time keeps that from starting, so both are wrong at once."""
    stopped = failed("zengrc-1", NOW - timedelta(minutes=9), "DeadlineExceeded")
    store(api, stopped, last=NOW - timedelta(hours=5), schedule="0 8 * * *", suspend=False)

    assert told() == ["Schedule zengrc failed: DeadlineExceeded"]


def test_what_its_pods_have_told_is_not_told_again(api: ApiServer) -> None:
    store(api, failed("zengrc-1", NOW - timedelta(minutes=9), "BackoffLimitExceeded"))

    assert told() == []


@pytest.mark.parametrize("first_delay", [timedelta(), timedelta(seconds=53)])
@pytest.mark.parametrize("second_delay", [timedelta(), timedelta(minutes=20)])
@pytest.mark.parametrize("after", [timedelta(), timedelta(seconds=1), timedelta(seconds=150)])
def test_each_moment_is_in_one_window_however_late_the_watch_starts(
    api: ApiServer, first_delay: timedelta, second_delay: timedelta, after: timedelta
) -> None:
    """Nodes and images make it start now early, now late: no failure may fall between two."""
    moment = NOW.replace(minute=0, second=0) + after
    store(api, failed("zengrc-1", moment, "PodFailurePolicy"))

    first, second = told(NOW + first_delay), told(NOW + HALF_HOUR + second_delay)

    assert len(first + second) == 1


def test_a_miss_is_told_once_and_shown_always(api: ApiServer) -> None:
    store(api, last=NOW - timedelta(days=1), schedule="45 9 * * *", suspend=False)
    times = [NOW + count * HALF_HOUR for count in range(-1, 6)]

    titles = [title for now in times for title in told(now)]

    assert titles == ["Schedule zengrc is 0:17:07 late"]
    assert [bool(read(connect(None), now)[0].late) for now in times] == [False] + [True] * 6


@pytest.mark.parametrize(
    ("counts", "is_waiting"),
    [
        ({"active": 1, "ready": 0, "uncountedTerminatedPods": {}}, True),
        ({}, True),  # no pod could be made: a quota, or no account
        ({"active": 1, "ready": 1}, False),
        ({"ready": 0, "uncountedTerminatedPods": {"succeeded": ["a"]}}, False),
        ({"ready": 0, "succeeded": 1}, False),
    ],
)
def test_a_run_whose_pod_does_not_come_up_is_told(
    api: ApiServer,
    counts: dict[str, Any],
    is_waiting: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """By the Job alone, so that the watch needs no right to read pods."""
    store(api, job("zengrc-1", NOW - timedelta(minutes=20), **counts))

    assert told() == ["Schedule zengrc waiting for its pod"] * is_waiting
