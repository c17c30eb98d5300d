"""A version that is merged or appended in several runs arrives whole, whatever kills them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from reliability.targets import small_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from reliability.matrix import Result

TARGETS = {target.label: target for target in small_targets()}
APPENDED = "counting: append-only, no key, with a version (records)"
MERGED = "counting: upsert, with a version that goes on (batches)"


@pytest.mark.parametrize("label", [APPENDED, MERGED])
def test_a_version_arrives_whole_after_a_kill(kill: Callable[..., Result], label: str) -> None:
    result = kill(TARGETS[label], "committed")

    assert result.is_good, result


@pytest.mark.parametrize("label", [APPENDED, pytest.param(MERGED, marks=pytest.mark.slow)])
def test_the_rest_of_a_version_that_is_left_out_is_found_out(
    kill: Callable[..., Result], label: str
) -> None:
    broken = (sys.executable, "-m", "reliability.cut_loader")

    result = kill(TARGETS[label], "committed", loader=broken)

    assert result.lost > 0
