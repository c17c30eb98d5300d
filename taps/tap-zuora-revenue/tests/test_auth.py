"""Both ways to log in: renewal, refusals, and that no secret is ever seen."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.vendors.zuora_revenue import ZuoraRevenue

if TYPE_CHECKING:
    from conftest import Tenant

LINES = "BI3_RC_LNS"


def oauth(tenant: Tenant, **settings: str) -> dict[str, Any]:
    return {
        "auth_method": "oneid_oauth",
        "oauth_client_id": ZuoraRevenue.oauth_client_id,
        "oauth_client_secret": ZuoraRevenue.oauth_client_secret,
        "oauth_token_url": f"{tenant.url}/oauth2/token",
        **settings,
    }


@pytest.mark.parametrize("method", ["revpro_token", "oneid_oauth"])
def test_a_token_that_expires_in_mid_view(tenant: Tenant, method: str) -> None:
    """The same page is asked for again, of the same task."""
    tenant.vendor.token_uses = 3
    settings = oauth(tenant) if method == "oneid_oauth" else {}

    result = tenant.sync(LINES, **settings)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert tenant.pages(LINES) == ["1", "2", "3", "4", "4", "5"]
    assert len(tenant.vendor.tasks) == 1


@pytest.mark.parametrize("method", ["revpro_token", "oneid_oauth"])
def test_a_token_is_renewed_before_it_ends(tenant: Tenant, method: str) -> None:
    """One that is good for 100 s is renewed for every request; nothing is refused."""
    tenant.vendor.token_seconds = 100.0
    settings = oauth(tenant) if method == "oneid_oauth" else {}

    tenant.sync(LINES, **settings)

    logins = len(tenant.vendor.seen("authenticate") + tenant.vendor.seen("oauth2"))
    assert logins == len(tenant.pages(LINES)) == 5


def test_a_token_that_does_not_say_when_it_ends(tenant: Tenant) -> None:
    tenant.vendor.token_exp = False

    result = tenant.sync(LINES)

    assert tenant.sent(result, LINES) == tenant.expected(LINES)
    assert len(tenant.vendor.seen("authenticate")) == 1


def test_views_share_one_log_in(tenant: Tenant) -> None:
    tenant.sync()

    assert len(tenant.vendor.seen("authenticate")) == 1


def test_a_second_401_is_fatal(tenant: Tenant) -> None:
    tenant.vendor.token_uses = 0

    _, said = tenant.fail(LINES)

    assert "refused a new token for /v2/biviews/BI3_RC_LNS. Check auth_method and role." in said
    assert len(tenant.pages(LINES)) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"password": "wrong"}, "refused the log-in. Check username and password."),
        ({"client_name": "Other"}, "knows no client of that name. Check client_name."),
        ({"password": None}, "auth_method revpro_token needs password. Set them."),
        ({"auth_method": "oneid_oauth"}, "needs oauth_client_id and oauth_client_secret"),
    ],
)
def test_a_log_in_that_is_refused_is_not_repeated(
    tenant: Tenant, settings: dict[str, Any], said: str
) -> None:
    """Repeating it could lock the user out."""
    assert said in tenant.fail(LINES, "BI3_RC_HEAD", "BI3_RC_POB", **settings)[1]
    assert len(tenant.vendor.seen("authenticate")) <= 1


def test_a_refused_oauth_client(tenant: Tenant) -> None:
    _, said = tenant.fail(LINES, **oauth(tenant, oauth_client_secret="wrong"))

    assert said.startswith("Zuora OneID: POST")
    assert "Check oauth_client_id and oauth_client_secret." in said


@pytest.mark.usefixtures("clock")
def test_a_gateways_page_in_place_of_an_oauth_token(tenant: Tenant) -> None:
    """HTML with status 200; the log-in is tried again."""
    tenant.vendor.faults.add(path="oauth2", status=200, body="<html>secret</html>", times=2)

    result = tenant.sync(LINES, **oauth(tenant))

    assert tenant.sent(result, LINES) == tenant.expected(LINES)


def test_a_log_in_without_its_token(tenant: Tenant) -> None:
    tenant.vendor.faults.add(path="authenticate", status=200, body='{"status":"success"}')

    assert "sent no header Revpro-Token" in tenant.fail(LINES)[1]


def test_a_role_without_its_privileges(tenant: Tenant) -> None:
    tenant.vendor.faults.add(path=LINES, status=403, body="Forbidden")

    _, said = tenant.fail(LINES)

    assert "Check role and its privileges (Webservices Inbound and Outbound)." in said
    assert len(tenant.pages(LINES)) == 1


def test_a_service_that_is_switched_off(tenant: Tenant) -> None:
    tenant.vendor.enabled = False

    _, said = tenant.fail(LINES)

    assert "405: its API service is not enabled for this tenant" in said
    assert len(tenant.vendor.requests) == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("method", ["revpro_token", "oneid_oauth"])
def test_no_secret_is_ever_seen(
    tenant: Tenant, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """Not in the log, with everything logged; not in what was sent; not in an error."""
    caplog.set_level(logging.DEBUG)
    tenant.vendor.faults.add(path="pagenum=4", status=500, times=10)
    settings = oauth(tenant) if method == "oneid_oauth" else {}

    result, said = tenant.fail(LINES, **settings)

    seen = caplog.text + json.dumps(result.messages) + said
    tokens = list(tenant.vendor._tokens)
    assert tokens
    for secret in (ZuoraRevenue.password, ZuoraRevenue.oauth_client_secret, *tokens):
        assert secret not in seen
