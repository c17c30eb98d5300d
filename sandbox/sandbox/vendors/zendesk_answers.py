"""What single endpoints of the Zendesk stand-in answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from sandbox.vendors.zendesk_pages import invalid, listed
from sandbox.vendors.zendesk_records import seconds

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from sandbox.vendors.zendesk_access import Access, Limits
    from sandbox.vendors.zendesk_account import Account
    from sandbox.vendors.zendesk_pages import Paging
    from sandbox.vendors.zendesk_records import Record

LISTS = {
    "groups": "groups",
    "group_memberships": "group_memberships",
    "macros": "macros",
    "tags": "tags",
    "ticket_fields": "ticket_fields",
    "satisfaction_ratings": "satisfaction_ratings",
    "ticket_forms": "ticket_forms",
    "slas/policies": "sla_policies",
    "channels/voice/phone_numbers": "phone_numbers",
}


@dataclass(frozen=True)
class Tenant:
    """An account with its logins, its limits and its way of paging."""

    account: Account
    access: Access
    limits: Limits
    paging: Paging


def own_url(request: Request) -> str:
    """The address that was asked for, without its query."""
    return f"{request.url.scheme}://{request.url.netloc}{request.url.path}"


def current_token(request: Request, tenant: Tenant) -> Response:
    """GET /oauth/tokens/current.json: until when the token lasts."""
    value = request.headers["authorization"].removeprefix("Bearer ")
    for token in tenant.access.tokens:
        if token.access == value:
            return JSONResponse({"token": {"expires_at": token.expires_at}})
    return not_found()


def users(request: Request, tenant: Tenant) -> Response:
    """The cursor export of users."""

    def read(
        after: tuple[int, int], until: float, count: int
    ) -> list[tuple[tuple[int, int], Record]]:
        placed = (
            ((seconds(user["updated_at"]), user["id"]), user)
            for user in tenant.account.users.values()
        )
        ordered = sorted(placed, key=lambda item: item[0])
        return [(at, user) for at, user in ordered if at > after and at[0] <= until][:count]

    return tenant.paging.cursor_export(request, own_url(request), "users", read)


def by_time(request: Request, tenant: Tenant) -> Response:
    """The exports by time."""
    kind, account = request.path_params["kind"], tenant.account
    if kind == "organizations":
        found = ((seconds(o["updated_at"]), o) for o in account.organizations.values())
        return tenant.paging.time_export(request, own_url(request), kind, found)
    if kind == "ticket_events":
        comments = request.query_params.get("include") == "comment_events"
        events = account.events(with_comments=comments)
        return tenant.paging.time_export(request, own_url(request), kind, events)
    if kind == "ticket_metric_events":
        return tenant.paging.time_export(request, own_url(request), kind, account.metric_events())
    return not_found()


def audits(request: Request, tenant: Tenant) -> Response:
    """The audits of a ticket; 404 when it was deleted."""
    number, account = request.path_params["number"], tenant.account
    try:
        deleted = account.ticket(number)["status"] == "deleted"
    except KeyError:
        deleted = True
    if deleted:
        return not_found()
    return listed(request, own_url(request), "audits", account.audits(number))


def plain_list(request: Request, tenant: Tenant) -> Response:
    """Every plain list; 403 when the plan lacks it."""
    key = LISTS.get(request.path_params["path"].removesuffix(".json"))
    if key is None:
        return not_found()
    if key in tenant.account.missing:
        return forbidden()
    found = tenant.account.lists[key]
    if key == "satisfaction_ratings" and "start_time" in request.query_params:
        text = request.query_params["start_time"]
        if not text.isdigit():
            return invalid("start_time must be a number of seconds", 400)
        found = [rating for rating in found if seconds(rating["created_at"]) > int(text)]
    return listed(request, own_url(request), key, found)


def not_found() -> Response:
    """The answer for what is not there."""
    return JSONResponse({"error": "RecordNotFound", "description": "Not found"}, 404)


def forbidden() -> Response:
    """The answer for what the plan or the role does not include."""
    title, text = "Forbidden", "You do not have access to this page."
    return JSONResponse({"error": {"title": title, "message": text}}, 403)
