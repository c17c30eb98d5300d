"""What goes wrong between Oracle and the tap, and what comes of it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from sandbox.vendors.oci_reports import COST, HOME_REGION
from sandbox.vendors.oci_rows import FIRST_DAY, compressed
from tap_oci.access import connect
from tap_oci.tap import TapOCI
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Oracle

STREAM = "oci_cost_report"
FILE = "0001000000612347-00001.csv.gz"


@pytest.mark.parametrize(
    "fault",
    [
        {"cut_after": 0},
        {"cut_after": 1500},
        {"cut_after": 1500, "times": 5},
        {"status": 503, "body": "<html>busy</html>"},
        {"status": 500, "body": '{"code": "InternalServerError", "message": "no"}'},
        {"status": 429, "body": '{"code": "TooManyRequests", "message": "no"}'},
        {"status": 200, "body": "<html>a proxy's page</html>"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [FILE, "/o?"])
def test_what_passes_is_tried_again(
    oracle: Oracle, naps: list[float], fault: dict[str, object], path: str
) -> None:
    """Nothing of a file that broke off is sent, and nothing of it is missing in the end."""
    oracle.vendor.faults.add(path=path, **fault)

    result = oracle.sync(STREAM)

    assert oracle.compared(STREAM, result.records(STREAM)) == oracle.expected(STREAM, COST)
    assert naps


def test_waits_as_long_as_the_server_asks(oracle: Oracle, naps: list[float]) -> None:
    oracle.vendor.faults.add(path=FILE, status=429, headers={"Retry-After": "7"})

    oracle.sync(STREAM)

    assert sum(naps) == 7.0


def test_another_body_than_was_listed_is_never_sent(oracle: Oracle, naps: list[float]) -> None:
    """The size is right and the CSV too; only the MD5 tells."""
    name = f"{COST}{FILE}"
    stored = oracle.vendor.objects[name]
    other = bytearray(stored.body)
    other[4] ^= 1  # the time in gzip's header, which no check but MD5 looks at
    assert gzip.decompress(bytes(other)) == gzip.decompress(stored.body)
    vars(stored)["digest"] = stored.digest
    object.__setattr__(stored, "body", bytes(other))

    with pytest.raises(TapError, match=f"{FILE} arrived with .* MD5"):
        oracle.sync(STREAM)

    assert len(naps) >= 5


def test_a_file_that_stays_unreadable_fails_the_run(oracle: Oracle, naps: list[float]) -> None:
    """After a bounded number of tries, with what was being read and what was found."""
    oracle.vendor.faults.add(path=FILE, status=503, times=100)

    with pytest.raises(TapError, match=f"Reading {COST}{FILE} failed: .* 503"):
        oracle.sync(STREAM)

    assert len(oracle.vendor.seen(FILE)) == 6
    assert naps


def test_a_file_that_was_written_anew_since_it_was_listed(
    oracle: Oracle, naps: list[float]
) -> None:
    """412 means to list it again; the rows are those of the new one, all of them."""
    name = f"{COST}{FILE}"
    oracle.vendor.rewrite_after_listing[name] = oracle.vendor.objects[
        f"{COST}0001000000612348-00001.csv.gz"
    ].body

    result = oracle.sync(STREAM)

    assert oracle.compared(STREAM, result.records(STREAM)) == oracle.expected(STREAM, COST)
    assert len(oracle.vendor.seen(FILE)) == 2
    assert naps == []


def test_a_file_that_has_gone_since_it_was_listed(
    oracle: Oracle, caplog: pytest.LogCaptureFixture
) -> None:
    """Oracle keeps files for a year; one that is too old is no reason to fail."""
    oracle.vendor.faults.add(path=FILE, status=404, body='{"code": "ObjectNotFound"}')

    rows = oracle.sync(STREAM).records(STREAM)

    assert f"{COST}{FILE}" not in {row["file_name"] for row in rows}
    assert len({row["file_name"] for row in rows}) == 8
    assert "is not there any more" in caplog.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (compressed(["cost/myCost"], [["secret"]]), "the column cost/myCost"),
        (compressed(["lineItem/intervalUsageStart"], [["secret"]]), "intervalUsageStart"),
        (compressed(["cost/myCost"], [["0.1234567890123456789"]]), "excess_decimals"),
        (compressed(["cost/myCost"], [["1" * 21]]), "cost_my_cost"),
        (compressed(["cost/myCost", "a"], [["1", "2"], ["secret"]]), "as many values"),
        (compressed(["a/b", "a_b"], [["1", "2"]]), "stands for a/b already"),
        (compressed(["cost/myCost", "tags/a", "tags/a"], [["1"] * 3]), "the column tags/a twice"),
        (compressed(["cost/myCost", ""], [["1", "2"]]), "a column without a name, number 2"),
        (gzip.compress("product/service\nsécret\n".encode("latin-1"), mtime=0), "text in UTF-8"),
        (b"secret,no gzip\n", "not gzip"),
        (gzip.compress(b"secret\n" * 9, mtime=0)[:-9], "not gzip"),
        (gzip.compress(b"", mtime=0), "not gzip"),
    ],
)
def test_a_file_that_is_wrong_itself_fails_at_once(
    oracle: Oracle, naps: list[float], body: bytes, said: str
) -> None:
    """Another try would bring the same; the message quotes no value."""
    oracle.vendor.put(f"{COST}{FILE}", body, FIRST_DAY)

    with pytest.raises(TapError, match=said) as failed:
        oracle.sync(STREAM)

    assert FILE in str(failed.value)
    assert "secret" not in str(failed.value).replace(f"{COST}{FILE}", "")
    assert naps == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fingerprint": "00:" * 15 + "00"}, "401 NotAuthenticated. Check tenancy, user"),
        ({"bucket": "another"}, "404 BucketNotFound.*policy.*home region"),
        ({"namespace": "another"}, "404 BucketNotFound"),
        ({"user": "nobody"}, "user"),
        ({"fingerprint": ""}, "needs fingerprint"),
        ({"key_file": ""}, "key_file or key_content"),
        ({"key_file": "/no/such.pem"}, "key_file"),
        ({"service_endpoint": "127.0.0.1:9"}, "service_endpoint must be a URL"),
        ({"federation_endpoint": "auth.example"}, "federation_endpoint must be a URL"),
        ({"key_file": "", "key_content": "no key"}, "key_content"),
        ({"authentication": "config_file", "config_file": "/no/such"}, "config_file"),
        ({"authentication": "resource_principal"}, "resource_principal failed"),
        ({"authentication": "workload_identity"}, "workload_identity failed"),
        ({"authentication": "delegation_token"}, "the setting delegation_token"),
    ],
)
def test_a_refusal_names_what_to_check(
    oracle: Oracle, naps: list[float], settings: dict[str, str], said: str
) -> None:
    with pytest.raises(TapError, match=said):
        oracle.sync(STREAM, **settings)

    assert naps == []


def test_a_session_token_of_a_profile(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sandbox-session\n")
    lines = [
        "[SANDBOX]",
        f"tenancy={oracle.config['tenancy']}",
        "region=us-ashburn-1",
        f"key_file={oracle.config['key_file']}",
        f"security_token_file={tmp_path / 'token'}",
    ]
    (tmp_path / "config").write_text("\n".join(lines))
    profile = {
        "authentication": "config_file",
        "config_file": str(tmp_path / "config"),
        "profile": "SANDBOX",
    }

    assert oracle.sync(STREAM, **profile).records(STREAM)


def test_the_key_itself_as_a_setting(oracle: Oracle, key_file: Path) -> None:
    assert oracle.sync(STREAM, key_file="", key_content=key_file.read_text()).records(STREAM)


def test_the_home_region_is_looked_up(oracle: Oracle, naps: list[float]) -> None:
    """The reports are nowhere else, and a wrong region looks like a missing permission."""
    url = oracle.config["service_endpoint"]
    oracle.vendor.faults.add(path="regionSubscriptions", status=503)
    config = {"lookup_region": "eu-frankfurt-1", "identity_endpoint": url}
    tap = TapOCI(config=oracle.config | config | {"service_endpoint": ""})

    storage = connect(tap.config, lambda: None)

    assert HOME_REGION in storage.endpoint
    assert naps


@pytest.mark.parametrize("status", [401, 404])
def test_a_look_up_that_is_refused_says_how_to_do_without(
    oracle: Oracle, naps: list[float], status: int
) -> None:
    """It needs a permission that reading reports does not need."""
    url = oracle.config["service_endpoint"]
    oracle.vendor.faults.add(path="regionSubscriptions", status=status, body='{"code": "No"}')
    tap = TapOCI(config=oracle.config | {"identity_endpoint": url, "service_endpoint": ""})

    with pytest.raises(TapError, match=f"home region failed: .* {status} No.* set region to"):
        connect(tap.config, lambda: None)

    assert naps == []


def test_no_secret_is_ever_printed(
    oracle: Oracle, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_file.read_text()
    result = oracle.sync(STREAM, key_file="", key_content=key)

    line = key.splitlines()[3]
    assert line not in caplog.text
    assert line not in str(result.messages)
