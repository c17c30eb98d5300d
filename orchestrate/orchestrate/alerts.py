"""Messages to a webhook, in Slack's shape."""

from __future__ import annotations

import os
from dataclasses import dataclass

import requests

from orchestrate.errors import OrchestrateError
from orchestrate.needs import ALERT_URL

TIMEOUT_SECONDS = 10
TEXT_CHARACTERS = 2900  # of Slack's 3000 in a block


@dataclass(frozen=True)
class Alert:
    """What went wrong.

    Attributes:
        title: One line.
        facts: What is known, each a label and a text.
        log: The last lines of the run's log, without secrets.
    """

    title: str
    facts: dict[str, str]
    log: str = ""

    def message(self) -> dict[str, object]:
        """The JSON that Slack's incoming webhooks take; `text` is for notifications."""
        facts = "\n".join(
            f"*{_escaped(name)}*: {_escaped(fact)}" for name, fact in self.facts.items()
        )
        texts = [f"*{_escaped(self.title)}*", facts]
        if self.log:
            texts.append(f"```{_escaped(self.log)[-TEXT_CHARACTERS:]}```")
        blocks = [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts if text
        ]
        return {"text": self.title, "blocks": blocks}


def webhook() -> str | None:
    """Where alerts go, if anywhere."""
    return os.environ.get(ALERT_URL) or None


def post(alert: Alert) -> None:
    """Send an alert to the webhook.

    Raises:
        OrchestrateError: There is none, it cannot be reached, or it refuses. The URL is a secret,
            so it is not named.
    """
    url = webhook()
    if url is None:
        raise OrchestrateError(f"No alert was sent: set {ALERT_URL} to a webhook's URL.")
    try:
        # What it says beyond its status is not waited for; a redirect would make a GET of it.
        answer = requests.post(
            url,
            json=alert.message(),
            timeout=TIMEOUT_SECONDS,
            stream=True,
            allow_redirects=False,
        )
        answer.close()
    except requests.RequestException as error:
        raise OrchestrateError(
            f"No alert was sent: the webhook of {ALERT_URL} cannot be reached"
            f" ({type(error).__name__})."
        ) from None
    if not answer.ok or answer.is_redirect:
        raise OrchestrateError(
            f"No alert was sent: the webhook of {ALERT_URL} answered {answer.status_code}."
        )


def _escaped(text: str) -> str:
    """What Slack would take for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
