"""The pods of the manifests, run on this machine by the very command that stands there."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

from orchestrate.cronjob import GRACE_SECONDS, cronjob
from orchestrate.kustomize import pod_spec

from sandbox.process import wait_until
from sandbox.settings import HOST

if TYPE_CHECKING:
    import pytest

    from orchestrate.tests.conftest import Node, Webhook

Planned = "dict[str, PlannedJob]"
MAKES_THE_LAST_TABLE = r"CREATE TABLE IF NOT EXISTS \"RAW\".\"TAP_ZENGRC\".\"VENDORS\""  # in JSON


def fault(node: Node, vendor: str, **request: Any) -> None:
    """Ask for a fault of a vendor; without one, forget all."""
    address = f"http://{HOST}:{node.config.vendors_port}/{vendor}/sandbox/faults"
    body = json.dumps(request).encode() if request else None
    method = "POST" if request else "DELETE"
    urllib.request.urlopen(urllib.request.Request(address, body, method=method)).close()


def test_a_pod_loads_rows(node: Node, planned: Planned) -> None:
    """The short form of `test_every_pod_loads_rows`: a database that has a Secret of its own."""
    rows, log = node.load(planned["postgres-customers-test"])

    assert rows > 0, log
    assert node.secrets_in(log) == set()


def test_sigterm_reaches_tap_and_loader_and_what_was_received_is_committed(
    node: Node, planned: Planned, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a node is drained: the kubelet tells the pod, and waits for the grace period."""
    fault(node, "zengrc", path="/vendors", delay_seconds=10)
    monkeypatch.setitem(node.secrets["meltano-secrets"], "TRIBUTARY_ALERT_URL", webhook.url)
    process = node.start(pod_spec(cronjob(planned["zengrc"])), "zengrc-1")
    queries = node.config.warehouse_folder / "queries.jsonl"

    # By then the loader has received all that came before that stream.
    seen = wait_until(
        lambda: MAKES_THE_LAST_TABLE in queries.read_text(), lambda: process.poll() is None
    )
    os.killpg(process.pid, signal.SIGTERM)
    log, _ = process.communicate(timeout=GRACE_SECONDS)

    assert seen, log
    assert process.returncode == 128 + signal.SIGTERM, log
    assert "Stopped by SIGTERM. The last STATE covers" in log  # says the tap
    assert "Stopped by signal 15; what was received is committed" in log  # says the loader
    committed = sum(row["ROWS_READ"] for row in node.ledger("zengrc-1", ("TAP_ZENGRC",)))
    assert committed > 0
    [told] = webhook.posted
    assert told["text"] == "Schedule zengrc was stopped by SIGTERM"
    assert f"{committed:,} rows read" in json.dumps(told)


def test_a_failed_run_tells_why_with_numbers_and_without_secrets(
    node: Node, planned: Planned, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(node, "clari", status=401, times=99)
    monkeypatch.setitem(node.secrets["meltano-secrets"], "TRIBUTARY_ALERT_URL", webhook.url)

    code, log = node.run(pod_spec(cronjob(planned["clari"])), "clari-1")

    fault(node, "clari")
    assert code == 1, log
    [told] = webhook.posted
    assert told["text"] == "Schedule clari failed with exit code 1"
    shown = json.dumps(told)
    assert "*run*: clari-1" in shown
    assert "*ledger*: nothing was committed" in shown
    assert "401" in shown
    assert node.secrets_in(log + shown) == set()
