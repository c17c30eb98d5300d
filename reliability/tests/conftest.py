"""A bench of the kill matrix on the test's own schema."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from reliability.matrix import Bench, Result

if TYPE_CHECKING:
    from pathlib import Path

    from reliability.targets import Target
    from sandbox.testing import Warehouse

Kill = Callable[..., Result]


@pytest.fixture
def kill(warehouse: Warehouse, tmp_path: Path) -> Kill:
    """Kill a target at a boundary, where a run reaches it first."""

    def run(target: Target, boundary: str, **broken: Any) -> Result:
        bench = Bench(warehouse, {}, tmp_path, commit_seconds=(0,), **broken)
        chance = random.Random(6)  # noqa: S311 - strikes where a boundary is reached first
        result = bench.kill(target, boundary, chance)
        assert result.struck, result
        return result

    return run
