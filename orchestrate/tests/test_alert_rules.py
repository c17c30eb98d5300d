"""The rules for Prometheus: they speak of what kube-state-metrics has, in its own words."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

RULES = Path(__file__).parents[1] / "kubernetes/components/alerts/rules.yaml"
# Its metrics of CronJobs and Jobs, and the labels of all of them
# (kubernetes/kube-state-metrics, docs/metrics/workload).
METRICS = {
    "kube_cronjob_": {
        "info", "created", "next_schedule_time", "status_active", "status_last_schedule_time",
        "status_last_successful_time", "spec_suspend", "spec_starting_deadline_seconds",
    },
    "kube_job_": {
        "info", "owner", "spec_parallelism", "spec_completions", "spec_active_deadline_seconds",
        "status_active", "status_succeeded", "status_failed", "status_start_time",
        "status_completion_time", "complete", "failed", "created",
    },
}  # fmt: skip
KNOWN = {prefix + name for prefix, names in METRICS.items() for name in names}
LABELS = {"namespace", "cronjob", "job_name", "condition", "reason"}


def expressions() -> dict[str, str]:
    groups = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def test_there_is_a_rule_for_what_fails_and_one_for_what_is_late() -> None:
    assert {"TributaryScheduleFailed", "TributaryScheduleLate"} <= expressions().keys()


@pytest.mark.parametrize("alert", expressions())
def test_a_rule_names_only_what_kube_state_metrics_has(alert: str) -> None:
    text = expressions()[alert]

    metrics = set(re.findall(r"\bkube_\w+", text))
    labels = {
        label
        for inner in re.findall(r"\bon \(([^)]*)\)", text)
        for label in re.split(r",\s*", inner)
    }
    labels |= set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", text))

    assert metrics
    assert metrics <= KNOWN
    assert labels <= LABELS


@pytest.mark.parametrize("alert", expressions())
def test_a_rule_is_an_expression_by_the_grammar_of_prometheus(alert: str) -> None:
    promql_parser.parse(expressions()[alert])
