"""What goes wrong over HTTPS: what is tried again, what is not, and what is said of it."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.vendors.xactly import CLIENT_ID, PASSWORD

if TYPE_CHECKING:
    from conftest import Source

TABLE = "xc_credit_adjustment"


def rows_of(source: Source, table: str = TABLE) -> set[int]:
    return {row["CREDIT_ADJUSTMENT_ID"] for row in source.vendor.data.rows(table)}


@pytest.mark.parametrize("setting", ["username", "password", "client_id", "consumer"])
def test_a_refused_login_is_tried_once(source: Source, naps: list[float], setting: str) -> None:
    """Not again, and not for the next stream: the user could be locked out."""
    _, error = source.fail(TABLE, "xc_quota", **{setting: "wrong-value"})

    assert "username, password, client_id and consumer" in error
    assert len(source.vendor.requests) == 1
    assert naps == []


def test_a_missing_credential_fails_before_the_first_request(source: Source) -> None:
    _, error = source.fail(TABLE, client_id="", consumer="")

    assert "needs the setting client_id, consumer" in error
    assert source.vendor.requests == []


def test_secrets_and_salaries_reach_no_log(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source.vendor.faults.add(path="/results/", status=500, body="x", times=2)
    source.page_once('{"data": {"rows": [["salary 4711"]], "totalRows": 1}}', skip=1)

    _, error = source.fail("xc_participant", tries=1)

    said = caplog.text + error
    token = next(iter(source.vendor.sessions), "no token")
    assert not [s for s in (PASSWORD, CLIENT_ID, token, "salary 4711", "first name") if s in said]


def test_a_connection_reset_at_each_request_in_turn(source: Source, naps: list[float]) -> None:
    """Wherever the network breaks once, the rows are the same and none comes twice."""
    wanted = sorted(rows_of(source))
    clean = source.sync(TABLE, statement_rows=30)
    requests = len(source.vendor.requests)
    catalog = source.catalog(TABLE)

    for number in range(requests):
        source.vendor.requests.clear()
        source.vendor.reset_at = number
        result = source.sync(catalog=catalog, statement_rows=30)
        found = [row["CREDIT_ADJUSTMENT_ID"] for row in result.records(TABLE)]
        assert sorted(found) == wanted, f"request {number}"
        assert source.vendor.reset_at is None

    assert len(clean.records(TABLE)) == len(wanted)
    assert len(naps) == requests - 2  # the farewell's two requests are not tried again


@pytest.mark.parametrize("uses", range(1, 8))
@pytest.mark.usefixtures("naps")
def test_a_token_that_dies_in_mid_result(source: Source, uses: int) -> None:
    """A new token, and the statement again from the last row."""
    source.vendor.token_uses = max(uses, 2)  # with less no result can be read at all

    result = source.sync(TABLE, statement_rows=50)

    found = [row["CREDIT_ADJUSTMENT_ID"] for row in result.records(TABLE)]
    assert sorted(found) == sorted(rows_of(source))


@pytest.mark.usefixtures("naps")
def test_a_token_that_dies_at_once_ends_the_run(source: Source) -> None:
    source.vendor.token_uses = 1

    _, error = source.fail(TABLE)

    assert "answered 401" in error
    assert "tried 5 times" in error


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.usefixtures("naps")
def test_a_result_that_was_dropped_is_asked_for_again(source: Source, status: int) -> None:
    source.vendor.faults.add(path="/results/", skip=1, status=status)

    result = source.sync(TABLE)

    found = [row["CREDIT_ADJUSTMENT_ID"] for row in result.records(TABLE)]
    assert sorted(found) == sorted(rows_of(source))


@pytest.mark.usefixtures("naps")
def test_a_table_without_a_key_begins_anew(source: Source) -> None:
    """Its rows have no order to go on in, so a second snapshot takes the first one's place."""
    source.vendor.faults.add(path="/results/", skip=1, status=404)

    result = source.sync("xc_quota_summary")

    versions = [m["version"] for m in result.of_type("ACTIVATE_VERSION")]
    records = result.of_type("RECORD")
    assert versions[0] < versions[1] == versions[2]
    assert sum(record["version"] == versions[1] for record in records) == 60


def test_a_table_without_privilege_ends_its_own_stream_only(
    source: Source, naps: list[float]
) -> None:
    """The public tap reconnects and tries for ever here."""
    source.vendor.denied = {"xc_quota"}

    result, error = source.fail("xc_period", "xc_quota", "xc_role")

    assert "Reading xc_quota: Xactly refused the statement: User has no privilege" in error
    assert len(result.records("xc_period")) == len(result.records("xc_role")) == 60
    assert sum("xc_quota" in command for command in source.vendor.commands) == 1
    assert naps == []


def test_a_table_that_does_not_exist(source: Source, naps: list[float]) -> None:
    source.vendor.data.run("DROP TABLE xc_role")

    _, error = source.fail("xc_role")

    assert "XC_ROLE" in error.upper()
    assert "See whether this tenant has the table" in error
    assert len(source.vendor.commands) == 1
    assert naps == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_faults_are_waited_for(source: Source, naps: list[float], status: int) -> None:
    source.vendor.faults.add(
        path="/execute", status=status, headers={"Retry-After": "7"} if status == 429 else {}
    )

    result = source.sync(TABLE)

    assert len(result.records(TABLE)) == 60
    assert len(naps) == 1
    assert status != 429 or naps == [7.0]


def test_a_fault_that_lasts_ends_the_run(source: Source, naps: list[float]) -> None:
    source.vendor.faults.add(path="/execute", status=503, times=100)

    _, error = source.fail(TABLE, tries=4)

    assert "POST /connect/v1/xdbc/execute answered 503" in error
    assert len(naps) == 3


def test_a_call_that_hangs_is_given_up(source: Source) -> None:
    source.vendor.faults.add(path="/execute", delay_seconds=10)
    begun = time.monotonic()

    _, error = source.fail(TABLE, statement_timeout_seconds=1, tries=1)

    assert "ReadTimeout" in error
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"data": {"rows": [[1, 2, 3]], "totalRows": 1}}, "a row has 3 values for 14 columns"),
        ({"data": {"rows": [list(range(20))], "totalRows": 1}}, "a row has 20 values"),
        ({"data": {"rows": [], "totalRows": 9}}, "has 9 rows, and the page behind row 0 is empty"),
        ({"data": {"rows": []}}, "totalRows"),
        ({"data": {"totalRows": 0}}, "rows"),
        ({"rows": []}, "data"),
        ({"data": {"rows": None, "totalRows": 0}}, "rows"),
        ("{", "no whole JSON"),
    ],
)
def test_a_page_that_is_not_as_known_is_an_error(source: Source, body: object, said: str) -> None:
    """Never an empty page, and never a row whose values are in other columns."""
    source.page_once(body if isinstance(body, str) else json.dumps(body))

    result, error = source.fail(TABLE)

    assert said in error
    assert result.records(TABLE) == []


@pytest.mark.parametrize("location", ["", "https://elsewhere.example/api/connect/v1/results/1"])
def test_a_result_on_another_host_is_not_asked_for(source: Source, location: str) -> None:
    """The token would go there."""
    source.vendor.faults.add(path="/execute", status=201, headers={"Location": location})

    _, error = source.fail(TABLE)

    assert "no Location on the host of api_url" in error


def test_the_session_is_ended(source: Source) -> None:
    """After a run that went well and after one that did not."""
    source.vendor.denied = {"xc_quota"}

    source.sync(TABLE)
    source.fail("xc_quota")

    assert source.vendor.sessions == {}
    assert len(source.vendor.seen("/sessions/")) == 2


def test_a_session_that_may_not_be_ended_is_left(source: Source) -> None:
    source.vendor.faults.add(path="/sessions", status=403)

    assert len(source.sync(TABLE).records(TABLE)) == 60


def test_no_farewell_when_it_is_not_wanted(source: Source) -> None:
    source.sync(TABLE, end_session=False)

    assert source.vendor.seen("/sessions") == []
