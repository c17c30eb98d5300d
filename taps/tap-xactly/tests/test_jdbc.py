"""The JDBC way in as only Xactly's own driver shows it, played by the sandbox.

What any driver shows is in test_jdbc_driver.py.
"""

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


@pytest.mark.parametrize("rows", [0, 1, 30, 59, 60])
@pytest.mark.usefixtures("naps")
def test_a_closed_connection_is_opened_again(source: Source, java: Java, rows: int) -> None:
    """And reading goes on from the last row that was sent."""
    java.break_after = rows

    result = source.sync(TABLE, result_rows=7)

    keys = [row["CREDIT_ADJUSTMENT_ID"] for row in result.records(TABLE)]
    assert len(keys) == len(set(keys)) == 60
    assert java.connections == 2


def test_a_refused_login_names_no_secret(source: Source, java: Java) -> None:
    _, error = source.fail(TABLE, "xc_quota", password=f"{PASSWORD}-old")

    assert "no connection to <jdbc_url>: login of <username> refused" in error
    assert not [secret for secret in (PASSWORD, CLIENT_ID, CONSUMER) if secret in error]
    assert "check username, password and jdbc_url" in error
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
