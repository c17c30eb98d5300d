"""The kill matrix in short: `make kill-matrix` is its long form. See docs/reliability.md."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from reliability.matrix import Bench, Result
from reliability.targets import small_targets

if TYPE_CHECKING:
    from pathlib import Path

    from reliability.matrix import Reference
    from sandbox.testing import Warehouse

TARGETS = {target.label: target for target in small_targets()}
APPENDING = "counting: append-only, no key (batches)"
TWO_STREAMS = "counting: append-only, no key, two streams (records)"
REFERENCES: dict[str, Reference] = {}  # what undisturbed runs give, for all tests of a process


def references(broken: dict[str, Any]) -> dict[str, Reference]:
    return {} if "loader" in broken else REFERENCES


def kill(warehouse: Warehouse, tmp_path: Path, label: str, boundary: str, **broken: Any) -> Result:
    shared = references(broken)
    bench = Bench(warehouse, {}, tmp_path, commit_seconds=(0,), references=shared, **broken)
    chance = random.Random(6)  # noqa: S311 - strikes where a boundary is reached first
    result = bench.kill(TARGETS[label], boundary, chance)
    assert result.struck, result
    return result


@pytest.mark.parametrize(
    ("label", "boundary"),
    [
        (APPENDING, "committed"),
        pytest.param(APPENDING, "state lost on its way", marks=pytest.mark.slow),
        ("counting: append-only, no key (records)", "COMMIT done, answer lost"),
        ("counting: overwrite, no key (batches)", "old rows deleted"),
        pytest.param("counting: upsert (batches)", "MERGE", marks=pytest.mark.slow),
        pytest.param(TWO_STREAMS, "any moment (both)", marks=pytest.mark.slow),
    ],
)
def test_no_kill_loses_or_doubles_a_row(
    warehouse: Warehouse, tmp_path: Path, label: str, boundary: str
) -> None:
    result = kill(warehouse, tmp_path, label, boundary)

    assert result.is_good, result


def test_a_state_in_a_file_promises_less(warehouse: Warehouse, tmp_path: Path) -> None:
    result = kill(warehouse, tmp_path, APPENDING, "committed", keeps_states_in_file=True)

    assert result.doubled > 0
    assert result.lost == 0


def test_a_state_stored_before_its_rows_is_found_out(warehouse: Warehouse, tmp_path: Path) -> None:
    broken = (sys.executable, "-m", "reliability.split_loader")

    result = kill(warehouse, tmp_path, APPENDING, "COPY", loader=broken)

    assert result.lost > 0


@pytest.mark.parametrize(
    "label",
    [
        "counting: overwrite (records)",
        pytest.param("counting: replace-slice (batches)", marks=pytest.mark.slow),
    ],
)
def test_old_rows_that_go_before_the_new_ones_come_are_found_out(
    warehouse: Warehouse, tmp_path: Path, label: str
) -> None:
    broken = (sys.executable, "-m", "reliability.torn_loader")

    result = kill(warehouse, tmp_path, label, "old rows deleted", loader=broken)

    assert result.half > 0
