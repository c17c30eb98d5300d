"""All pods of the manifests, one after the other; about ten seconds each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from orchestrate.plan import PlannedJob

    from orchestrate.tests.conftest import Node

LATE_ONES = ("deletes", "closed-quarter")  # they work on tables that others make


@pytest.mark.slow
def test_every_pod_loads_rows(node: Node, planned: dict[str, PlannedJob]) -> None:
    """No manifest lacks a variable, a Secret, a file or a writable folder."""
    order = sorted(planned, key=lambda name: (name.endswith(LATE_ONES), name))

    loaded = {name: node.load(planned[name]) for name in order}

    assert {name: log for name, (rows, log) in loaded.items() if rows == 0} == {}
    assert {name for name, (_, log) in loaded.items() if node.secrets_in(log)} == set()
