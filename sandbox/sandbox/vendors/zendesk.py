"""Stand-in for Zendesk Support (Ticketing): two accounts with a login each.

Written from the fact sheet zendesk.md. Departures: an account is the first part of the path
(`/tributary/api/v2/...`), not of the host; minutes of the rate limits are those of the clock;
`start_time` younger than five minutes is always refused; requests for tokens do not count; the
refusals of /oauth/tokens are OAuth's usual ones; no header tells an endpoint's own limit.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse
from starlette.routing import Route
from typing_extensions import override

from sandbox.vendors import zendesk_answers as answers
from sandbox.vendors.vendor import Vendor
from sandbox.vendors.zendesk_access import Access, Limits
from sandbox.vendors.zendesk_account import Account
from sandbox.vendors.zendesk_answers import Tenant
from sandbox.vendors.zendesk_pages import Paging
from sandbox.vendors.zendesk_records import ACCOUNT_STEP, metric_set

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sandbox.vendors.zendesk_records import Record

ACCOUNTS = ("tributary", "tributary-community")


class Zendesk(Vendor):
    """Zendesk Support; `size` is how many tickets each account has at the start.

    Attributes:
        now: Gives the vendor's time; tests put their own clock here.
        tenants: The accounts, by subdomain.
        before_export: Called before each page of tickets is made, so that tests can change data.
    """

    name = "zendesk"

    def __init__(self, size: int = 50, per_minute: int = 2500, exports: int = 30) -> None:
        super().__init__(size)
        self.now: Callable[[], float] = time.time
        self.before_export: Callable[[], None] = lambda: None
        self.tenants = {
            subdomain: self._tenant(subdomain, number, per_minute, exports)
            for number, subdomain in enumerate(ACCOUNTS)
        }

    def _tenant(self, subdomain: str, number: int, per_minute: int, exports: int) -> Tenant:
        clock = self.clock
        access = Access(
            clock,
            email=f"data@{subdomain}.example",
            api_token=f"{subdomain}-api-token",
            client_id=f"{subdomain}-client",
            client_secret=f"{subdomain}-client-secret",
        )
        account = Account(self.size, clock, first=number * ACCOUNT_STEP)
        limits = Limits(clock, per_minute, exports)
        return Tenant(account, access, limits, Paging(clock))

    def clock(self) -> float:
        return self.now()

    @override
    def routes(self) -> Sequence[BaseRoute]:
        api = "/{subdomain}/api/v2"
        return [
            Route("/{subdomain}/oauth/tokens", self._grant, methods=["POST"]),
            Route(f"{api}/oauth/tokens/current.json", self._guarded(answers.current_token)),
            Route(f"{api}/incremental/tickets/cursor.json", self._guarded(self._tickets, "export")),
            Route(f"{api}/incremental/users/cursor.json", self._guarded(answers.users, "export")),
            Route(f"{api}/incremental/{{kind}}.json", self._guarded(answers.by_time, "export")),
            Route(
                f"{api}/tickets/{{number:int}}/audits.json", self._guarded(answers.audits, "audits")
            ),
            Route(f"{api}/{{path:path}}", self._guarded(answers.plain_list)),
        ]

    def _guarded(
        self, answer: Callable[[Request, Tenant], Response], kind: str = ""
    ) -> Callable[[Request], Response]:
        """Let an endpoint answer only those who may ask, and not too often."""

        async def endpoint(request: Request) -> Response:
            tenant = self.tenants.get(request.path_params["subdomain"])
            if tenant is None:
                return HTMLResponse("<html><body>No such help center</body></html>", 404)
            refused = tenant.limits.count(export=kind == "export") or tenant.access.refuse(
                request, audits=kind == "audits"
            )
            if not refused and kind == "export" and not tenant.account.is_admin:
                refused = answers.forbidden()
            found = refused or answer(request, tenant)
            found.headers.update(tenant.limits.headers())
            return found

        return endpoint  # type: ignore[return-value]  # starlette takes coroutines, untyped

    async def _grant(self, request: Request) -> Response:
        tenant = self.tenants.get(request.path_params["subdomain"])
        if tenant is None:
            return HTMLResponse("<html><body>No such help center</body></html>", 404)
        return tenant.access.grant(json.loads(await request.body()))

    def _tickets(self, request: Request, tenant: Tenant) -> Response:
        self.before_export()
        account = tenant.account
        with_metrics = "metric_sets" in request.query_params.get("include", "")

        def read(
            after: tuple[int, int], until: float, count: int
        ) -> list[tuple[tuple[int, int], Record]]:
            found = account.exported(after, until, count)
            return [
                (
                    (ticket["generated_timestamp"], ticket["id"]),
                    {**ticket, "metric_set": metric_set(ticket, account.url)}
                    if with_metrics and ticket["status"] != "deleted"
                    else ticket,
                )
                for ticket in found
            ]

        return tenant.paging.cursor_export(request, answers.own_url(request), "tickets", read)
