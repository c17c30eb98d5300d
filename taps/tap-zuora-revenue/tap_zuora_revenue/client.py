"""Zuora Revenue's BI view API, version 2: single requests, and the tasks that they begin."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tap_zuora_revenue.answers import (
    BAD_REQUEST,
    FORBIDDEN,
    NO_ROWS,
    NO_SUCH_PAGE,
    NOT_ENABLED,
    OK,
    TOO_MANY,
    UNAUTHORIZED,
    is_limited,
    json_of,
    vendor_message,
)
from tap_zuora_revenue.auth import LAST_SECONDS, SWITCHED_OFF, make_token
from tap_zuora_revenue.tasks import Task, parse_tasks
from tapsupport.errors import TapError
from tapsupport.http import HttpSession, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from tap_zuora_revenue.windows import Window

logger = logging.getLogger(__name__)

UNDERSTOOD = (OK, NO_ROWS, UNAUTHORIZED, NOT_ENABLED)
OF_PAGES = (*UNDERSTOOD, BAD_REQUEST, FORBIDDEN, NO_SUCH_PAGE, TOO_MANY)
NO_JSON_SECONDS = 5.0  # until it is seen whether a gateway's page has gone
OF_CANCELLATION = (*UNDERSTOOD, 202, BAD_REQUEST, NO_SUCH_PAGE)
STATUS = "/v2/biviews-status"


@dataclass
class OpenQuery:
    """A query of ours that may occupy its view's only place at the server."""

    window: Window
    task_id: str | None = None


class Client:
    """One tenant. Threads share it, one view each."""

    def __init__(self, config: Mapping[str, Any], before: Callable[[], None]) -> None:
        self._token = make_token(config, before)
        self._session = HttpSession(
            base_url=config["api_url"].rstrip("/"),
            vendor="Zuora Revenue",
            credentials="role and its privileges (Webservices Inbound and Outbound)",
            auth=self._token,
            message=vendor_message,
            before=before,
            timeout=(10.0, config["read_timeout_seconds"]),
        )
        self._once = replace(self._session, tries=1)
        self._last_words = replace(
            self._once, auth=self._token.hasty, before=lambda: None, timeout=LAST_SECONDS
        )
        self._client_id = {"clientId": config["application_client_id"]}
        self._paging = {"pageSize": config["page_size"], "outputType": config["output_type"]}
        self._lock = threading.Lock()
        self._open: dict[str, OpenQuery] = {}

    # Requests

    @property
    def query(self) -> dict[str, Any]:
        """What must stay the same while one task is read."""
        return {**self._client_id, **self._paging}

    def page(
        self, view: str, window: Window, number: int, task_id: str | None
    ) -> requests.Response:
        """Ask for a page: 200, 204, 404, or a 400, 403 or 429 that the caller must look at.

        Without a task id it begins a task, and is tried once only.

        Raises:
            RetriableError: no answer, or 5xx.
            TapError: the request is refused for good.
        """
        response = self._ask(
            self._session if task_id else self._once,
            f"/v2/biviews/{view}",
            OF_PAGES,
            params={**self.query, **_dates(window), "pagenum": number},
            headers={"continuation-token": task_id} if task_id else {},
        )
        if response.status_code == FORBIDDEN and not is_limited(response):
            raise self.refusal(view, response)
        return response

    def count(self, view: str, window: Window) -> int | None:
        """How many rows a window has; None when the server does not come to count them.

        Raises:
            TapError: it answers something else.
        """
        params = {**self._client_id, **_dates(window)}
        try:
            response = self._ask(self._once, f"/v2/biviews/count/{view}", OF_PAGES, params=params)
        except RetriableError as error:
            logger.info("%s: counting rows failed. %s", view, error)
            return None
        if is_limited(response):
            logger.info("%s: rows were not counted. %s", view, vendor_message(response))
            return None
        if response.status_code in (BAD_REQUEST, FORBIDDEN, NO_SUCH_PAGE):
            raise self.refusal(view, response)
        if response.status_code == NO_ROWS:
            return 0
        body = json_of(response)
        count = body.get("count") if isinstance(body, dict) else None
        if body is not None and not str(count).isdigit():
            raise TapError(f"Zuora Revenue: the row count of {view} has no number in field count.")
        return None if body is None else int(str(count))

    def tasks(self) -> list[Task]:
        """The tasks of this client, those of other programs too."""
        return self._tasks(self._session)

    def task(self, task_id: str) -> Task | None:
        """One task, None when the server does not list it (any more)."""
        return next((task for task in self.tasks() if task.id == task_id), None)

    def find_task(self, view: str, window: Window) -> Task | None:
        """The living task that reads the view in this window."""
        return self._find(self._session, view, window)

    def refusal(self, view: str, response: requests.Response) -> TapError:
        """The error for an answer that will not change."""
        said = vendor_message(response).rstrip(".")
        check = (
            "role and its privileges (Webservices Inbound and Outbound)"
            if response.status_code == FORBIDDEN
            else "application_client_id, page_size and that the tenant has this view"
        )
        return TapError(
            f"Zuora Revenue: {view} was refused with {response.status_code}"
            f"{': ' + said if said else ''}. Check {check}."
        )

    # Our own tasks

    def begin(self, view: str, window: Window, task_id: str | None) -> None:
        """Note that a query of ours is about to run, or runs under a task id."""
        with self._lock:
            self._open[view] = OpenQuery(window, task_id)

    def end(self, view: str) -> None:
        """Note that a query was read to its end."""
        with self._lock:
            self._open.pop(view, None)

    def cancel(self, view: str) -> None:
        """Cancel the view's query, if one of ours is open: it occupies the view's only place.

        What goes wrong is only logged: there is an error on its way already.
        """
        with self._lock:
            query = self._open.pop(view, None)
        if query is None:
            return
        try:
            task_id = query.task_id
            if task_id is None and (task := self._find(self._last_words, view, query.window)):
                task_id = task.id
            if task_id:
                self.cancel_task(task_id)
                logger.info("%s: cancelled task %s.", view, task_id)
        except TapError as error:
            logger.warning("%s: cancelling the task failed. %s", view, error)

    def cancel_all(self) -> None:
        """Cancel all queries of ours that are open."""
        for view in list(self._open):
            self.cancel(view)

    def cancel_task(self, task_id: str) -> None:
        """Cancel one task; one that is gone already is no error."""
        self._ask(self._last_words, f"{STATUS}/{task_id}", OF_CANCELLATION, method="DELETE")

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._session.session.close()
        self._token.close()

    # Parts

    def _find(self, session: HttpSession, view: str, window: Window) -> Task | None:
        wanted = (view, (window.start, window.end))
        found = (task for task in self._tasks(session) if (task.view, task.dates) == wanted)
        return next((task for task in found if task.lives), None)

    def _tasks(self, session: HttpSession) -> list[Task]:
        for _ in range(session.tries):
            response = self._ask(session, STATUS, UNDERSTOOD)
            if response.status_code == NO_ROWS:
                return []
            body = json_of(response)
            if body is not None:
                return parse_tasks(body)
            time.sleep(NO_JSON_SECONDS)
        raise TapError(
            "Zuora Revenue: the answer of biviews-status is no JSON, perhaps a gateway's page. Run "
            "again later; if it lasts, check api_url."
        )

    def _ask(
        self,
        session: HttpSession,
        path: str,
        accept: tuple[int, ...],
        method: str = "GET",
        **options: Any,  # noqa: ANN401 - of requests.Session.request
    ) -> requests.Response:
        response = session.request(method, path, accept=accept, **options)
        if response.status_code == UNAUTHORIZED:  # expired; once more, with all else as it was
            self._token.renew(response.request)
            response = session.request(method, path, accept=accept, **options)
        if response.status_code == UNAUTHORIZED:
            raise TapError(
                f"Zuora Revenue refused a new token for {path}. Check auth_method and role."
            )
        if response.status_code == NOT_ENABLED:
            raise TapError(SWITCHED_OFF)
        return response


def _dates(window: Window) -> dict[str, str]:
    return {"fromDate": window.start, "toDate": window.end}
