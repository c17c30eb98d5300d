"""Waiting for what the server does not have yet, with an end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_zuora_revenue.answers import vendor_message
from tapsupport.errors import TapError
from tapsupport.http import asked_wait

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How often to ask for what is not ready, and how long in all, in seconds."""

    poll_seconds: float
    total_seconds: float


class Waiting:
    """One wait, from the moment it is made.

    The time of the requests counts: the server may hold each of them for minutes before it says
    that a page is not cached yet.
    """

    def __init__(self, view: str, what: str, patience: Patience) -> None:
        self._view = view
        self._what = what
        self._patience = patience
        self._began = time.monotonic()
        self._slept = 0.0
        self._is_told = False

    def sleep(self, response: requests.Response | None) -> None:
        """Sleep until it is time to ask again; as long as the last answer says, if it does.

        Raises:
            TapError: it has lasted too long.
        """
        lasted = max(self._slept, time.monotonic() - self._began)
        if lasted >= self._patience.total_seconds:
            raise TapError(
                f"{self._view}: waited {lasted:.0f} s for {self._what}. Look which tasks run in "
                "the tenant (Activity monitoring), or raise patience_seconds."
            )
        if not self._is_told:
            said = "" if response is None else vendor_message(response)
            logger.info("%s: waiting for %s. %s", self._view, self._what, said)
            self._is_told = True
        asked = None if response is None else asked_wait(response)
        seconds = asked or self._patience.poll_seconds
        time.sleep(seconds)
        self._slept += seconds
