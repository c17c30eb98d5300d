"""Identities that Oracle's platform gives: to an instance, to a function, to a user's delegate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.oci_instance import DELEGATION_TOKEN, FEDERATION, METADATA
from sandbox.vendors.oci_reports import COST, HOME_REGION
from tap_oci.access import connect
from tap_oci.tap import TapOCI
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Oracle
    from tap_oci.client import Storage

STREAM = "oci_cost_report"
OF_A_USER = ("tenancy", "user", "fingerprint", "key_file")


@pytest.fixture
def instance(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> Oracle:
    """The tap on an instance, without a key and without knowing the tenancy; three files."""
    url = oracle.config["service_endpoint"]
    monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{url}{METADATA}")
    for name in OF_A_USER:
        del oracle.config[name]
    for name in sorted(oracle.vendor.objects)[:-3]:
        del oracle.vendor.objects[name]
    oracle.config |= {
        "authentication": "instance_principal",
        "federation_endpoint": f"{url}{FEDERATION}",
    }
    return oracle


def connected(config: dict[str, Any]) -> Storage:
    return connect(TapOCI(config=config).config, lambda: None)


def test_an_instance_reads_its_own_tenancys_reports(instance: Oracle) -> None:
    """The certificate tells the tenancy, which is the bucket; one token does for all requests."""
    rows = instance.sync(STREAM).records(STREAM)

    assert instance.compared(STREAM, rows) == instance.expected(STREAM, COST)
    assert len(instance.vendor.seen(FEDERATION)) == 1


def test_a_token_that_ends_in_mid_run_is_renewed(instance: Oracle) -> None:
    """The SDK gets another one a minute before the end; the old one would be refused."""
    instance.vendor.instance.token_seconds = 30.0

    rows = instance.sync(STREAM).records(STREAM)

    assert instance.compared(STREAM, rows) == instance.expected(STREAM, COST)
    assert len(instance.vendor.seen(FEDERATION)) >= 3


def test_the_home_region_of_an_instance_is_looked_up(instance: Oracle) -> None:
    url = instance.config["service_endpoint"]
    config = instance.config | {"identity_endpoint": url, "service_endpoint": ""}

    storage = connected(config)

    assert HOME_REGION in storage.endpoint
    assert len(instance.vendor.seen("regionSubscriptions")) == 1


def test_a_user_delegates_to_an_instance(instance: Oracle) -> None:
    """Each request carries the user's token; a wrong one is refused."""
    instance.config["authentication"] = "delegation_token"

    assert instance.sync(STREAM, delegation_token=DELEGATION_TOKEN).records(STREAM)
    with pytest.raises(TapError, match="401 NotAuthenticated"):
        instance.sync(STREAM, delegation_token="another")


def test_a_function_has_its_token_in_the_environment(
    instance: Oracle, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource principal of version 2.2, whose token tells the tenancy."""
    environment = {
        "VERSION": "2.2",
        "RPST": instance.vendor.instance.token(),
        "PRIVATE_PEM": key_file.read_text(),
        "REGION": "iad",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)

    rows = instance.sync(STREAM, authentication="resource_principal").records(STREAM)

    assert instance.compared(STREAM, rows) == instance.expected(STREAM, COST)


@pytest.mark.parametrize("path", ["cert.pem", "instance/region", FEDERATION])
@pytest.mark.parametrize("fault", [{"status": 503, "body": "busy"}, {"cut_after": 0}], ids=str)
def test_what_passes_is_asked_for_again(
    instance: Oracle, naps: list[float], path: str, fault: dict[str, Any]
) -> None:
    instance.vendor.faults.add(path=path, **fault)

    connected(instance.config)

    assert naps


@pytest.mark.parametrize(
    "fault",
    [
        {"path": FEDERATION, "status": 503, "body": "{}"},
        {"path": FEDERATION, "status": 200, "body": "<html>secret</html>"},
        {"path": "cert.pem", "status": 200, "body": "<html>secret</html>"},
        {"path": "cert.pem", "cut_after": 9},
    ],
    ids=str,
)
def test_a_token_that_cannot_be_renewed_for_a_while(
    instance: Oracle, naps: list[float], fault: dict[str, Any]
) -> None:
    """In mid-run, where the request fails that was to be signed."""
    instance.vendor.instance.token_seconds = 30.0
    instance.vendor.faults.add(skip=2, **fault)

    rows = instance.sync(STREAM).records(STREAM)

    assert instance.compared(STREAM, rows) == instance.expected(STREAM, COST)
    assert naps


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"path": FEDERATION, "status": 401, "body": "{}"}, "it answered 401"),
        ({"path": FEDERATION, "status": 200, "body": '{"secret": 1}'}, "RuntimeError"),
        ({"path": FEDERATION, "status": 200, "body": "<html>secret</html>"}, "RuntimeError"),
        (
            {"path": "cert.pem", "status": 200, "body": "<html>secret</html>", "times": 99},
            "Invalid",
        ),
        ({"path": "cert.pem", "status": 403, "body": "secret"}, "it answered 403"),
    ],
)
def test_a_platform_that_gives_no_identity(
    instance: Oracle, naps: list[float], fault: dict[str, Any], said: str
) -> None:
    """In a sentence that says where it works, and without what was answered."""
    instance.vendor.faults.add(**fault)

    with pytest.raises(TapError, match=re.escape(said)) as failed:
        instance.sync(STREAM)

    assert "within Oracle Cloud only" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert (sum(naps) > 30.0) is ("times" in fault)


def test_without_a_metadata_service_the_run_ends(
    instance: Oracle, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine outside of Oracle Cloud; after as many tries as anything else gets."""
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:1/opc/v2")

    with pytest.raises(TapError, match="elsewhere set authentication to api_key"):
        instance.sync(STREAM)

    assert 30.0 < sum(naps) < 60.0
