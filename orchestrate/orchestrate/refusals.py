"""What a cluster refuses, as sentences."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

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


@contextmanager
def refusals(purpose: str) -> Iterator[None]:
    """Turn what the client raises into a sentence.

    Raises:
        OrchestrateError: The cluster refuses or cannot be reached.
    """
    try:
        yield
    except ApiException as error:
        advice = ADVICE.get(error.status or 0, "Try again.")
        raise OrchestrateError(
            f"The cluster refused {purpose} ({error.status}): {_said(error)}. {advice}"
        ) from error
    except HTTPError as error:
        raise OrchestrateError(
            f"The cluster could not be reached for {purpose} ({type(error).__name__})."
            " Check the kubeconfig and the network."
        ) from error


def _said(error: ApiException) -> str:
    """The message of the Status that the cluster answers with; nothing of headers or objects."""
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = error.reason
    return str(message).rstrip(".")
