"""A run that stands still inside its transaction, and goes on after another has taken its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reliability.targets import small_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from reliability.matrix import Result

TARGETS = {target.label: target for target in small_targets()}


@pytest.mark.parametrize(
    "boundary",
    [
        "frozen before it looks at its lease, thawed after another run",
        "frozen before COMMIT, thawed after another run",
    ],
)
def test_one_of_two_runs_commits(kill: Callable[..., Result], boundary: str) -> None:
    """Its rows, appended without a key, would stand twice if both runs brought them."""
    result = kill(TARGETS["counting: append-only, no key (records)"], boundary)

    assert result.is_good, result
