"""The JDBC way in, with JayDeBeApi and JPype played by the sandbox (they are not installed)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sandbox.vendors.xactly import CLIENT_ID, CONSUMER, PASSWORD

if TYPE_CHECKING:
    from conftest import Source
    from sandbox.vendors.xactly_java import Java

TABLE = "xc_credit_adjustment"


def test_the_gateway_gets_all_four_credentials(source: Source, java: Java) -> None:
    source.sync(TABLE)

    assert java.url.startswith("jdbc:xactly://api.xactlycorp.com:443/api?sslVerifyServer=true&")
    assert f"clientId={CLIENT_ID}&consumer={CONSUMER}" in java.url
    assert source.vendor.requests == []


def test_a_pod_needs_user_and_password_only(source: Source, java: Java) -> None:
    url = "jdbc:xactly://secure4.xactlycorp.com:443?useSSL=true"

    source.sync(TABLE, jdbc_url=url, client_id="", consumer="")

    assert java.url == url


def test_statements_have_a_time_out_and_sigterm_stays_ours(source: Source, java: Java) -> None:
    source.sync(TABLE, statement_timeout_seconds=77)

    assert set(java.time_outs) == {77}
    assert "-Xrs" in java.options  # else the Java machine takes the signal and ends the process
    assert (java.connections, java.closed) == (1, 1)


@pytest.mark.usefixtures("java")
def test_both_ways_give_the_same_files(source: Source) -> None:
    """Rows in the same order, with the same types, to the last digit."""
    over_java = source.sync(TABLE, lane="arrow").table(TABLE)
    over_https = source.sync(TABLE, lane="arrow", backend="https").table(TABLE)

    assert over_java.equals(over_https)
    assert over_java.num_rows == 60


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_both_ways_give_the_same_200_000_rows(source: Source) -> None:
    source.vendor.data.size = 200_000
    options = {"lane": "arrow", "result_rows": 1000}

    over_java = source.sync(TABLE, **options).table(TABLE)
    over_https = source.sync(TABLE, backend="https", **options).table(TABLE)

    assert over_java.equals(over_https)
    assert over_java.num_rows == 200_000


@pytest.mark.parametrize("rows", [0, 1, 30, 59, 60])
@pytest.mark.usefixtures("naps")
def test_a_closed_connection_is_opened_again(source: Source, java: Java, rows: int) -> None:
    """And reading goes on from the last row that was sent."""
    java.break_after = rows

    result = source.sync(TABLE, result_rows=7)

    keys = [row["CREDIT_ADJUSTMENT_ID"] for row in result.records(TABLE)]
    assert len(keys) == len(set(keys)) == 60
    assert java.connections == 2


@pytest.mark.usefixtures("java")
def test_a_refused_statement_is_not_tried_again(source: Source, naps: list[float]) -> None:
    source.vendor.denied = {TABLE}

    _, error = source.fail(TABLE)

    assert "User has no privilege to read" in error
    assert len(source.vendor.commands) == 1
    assert naps == []


def test_a_refused_login_names_no_secret(source: Source, java: Java) -> None:
    _, error = source.fail(TABLE, "xc_quota", password=f"{PASSWORD}-old")

    assert "no connection to <jdbc_url>: login of <username> refused" in error
    assert not [secret for secret in (PASSWORD, CLIENT_ID, CONSUMER) if secret in error]
    assert "check username and password" in error
    assert java.attempts == 1


@pytest.mark.usefixtures("naps")
def test_a_hanging_call_is_cancelled_and_tried_again(
    source: Source, java: Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_xactly.streams.GRACE_SECONDS", 0)
    java.hangs = 1

    result = source.sync(TABLE, statement_timeout_seconds=1)

    assert len(result.records(TABLE)) == 60
    assert java.connections == 2


@pytest.mark.usefixtures("java")
def test_tenant_columns_are_discovered(source: Source) -> None:
    catalog = source.catalog("xc_participant", discover_columns=True)

    result = source.sync(catalog=catalog, discover_columns=True)

    schema = result.of_type("SCHEMA")[0]["schema"]["properties"]
    assert schema["ARR__BASIS"]["type"] == ["number", "null"]
    assert schema["ARR__BASIS__UNIT_TYPE_ID"]["type"] == ["integer", "null"]
    assert schema["INVOICE__DATE"]["format"] == "date-time"
    assert schema["SEGMENT"]["type"] == ["string", "null"]
    assert {row["SEGMENT"] for row in result.records("xc_participant")} >= {"segment é 1"}


@pytest.mark.usefixtures("java")
def test_without_jaydebeapi_a_sentence_says_so(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jaydebeapi", None)

    _, error = source.fail(TABLE)

    assert "Install tap-xactly[jdbc]" in error


@pytest.mark.usefixtures("java")
def test_a_missing_archive_is_named(source: Source) -> None:
    _, error = source.fail(TABLE, jdbc_driver_path="nowhere.jar")

    assert "jdbc_driver_path is nowhere.jar, where there is no file" in error


@pytest.mark.usefixtures("java")
def test_a_missing_driver_class_is_named(source: Source) -> None:
    _, error = source.fail(TABLE, jdbc_driver_class="com.example.Driver")

    assert "Class com.example.Driver is not found" in error
    assert "JAVA_HOME" in error
