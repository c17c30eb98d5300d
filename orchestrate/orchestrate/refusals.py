"""What a cluster refuses, as sentences."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from orchestrate.errors import OrchestrateError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = {
    401: "Log in again, or correct the kubeconfig.",
    403: "Ask for a role that allows it.",
    404: "Create it, or correct the name or namespace.",
    409: "Someone else has set it: agree with them, or take it over with --force-conflicts.",
    422: "Correct the manifest.",
}
# For refusals whose status is also that of others.
ADVICE_BY_REASON = {"AlreadyExists": "Wait a second, then try again."}


@contextmanager
def refusals(purpose: str) -> Iterator[None]:
    """Turn what the client raises into a sentence.

    Raises:
        OrchestrateError: The cluster refuses or cannot be reached.
    """
    try:
        yield
    except ApiException as error:
        status = _status(error)
        advice = ADVICE_BY_REASON.get(str(status.get("reason")))
        advice = advice or ADVICE.get(error.status or 0, "Try again.")
        said = str(status.get("message", error.reason)).rstrip(".")
        raise OrchestrateError(
            f"The cluster refused {purpose} ({error.status}): {said}. {advice}"
        ) from error
    except HTTPError as error:
        raise OrchestrateError(
            f"The cluster could not be reached for {purpose} ({type(error).__name__})."
            " Check the kubeconfig and the network."
        ) from error


def _status(error: ApiException) -> dict[str, Any]:
    """The Status that the cluster answers with, or nothing if it is none."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}
