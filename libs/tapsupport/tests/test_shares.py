"""Settings that are a share, from a file or from an environment variable."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from tapsupport.shares import share


@pytest.mark.parametrize("value", [0, 0.2, 1, "0", "0.2", ".5", "1", "1.0"])
def test_a_share_is_a_number_or_its_text(value: float | str) -> None:
    assert Draft202012Validator(share().to_dict()).is_valid(value)
    assert 0 <= float(value) <= 1


@pytest.mark.parametrize("value", [-0.1, 1.1, "20%", "-0.1", "1.5", "2", "", "0.", "0,2", True])
def test_nothing_else_is_a_share(value: object) -> None:
    assert not Draft202012Validator(share().to_dict()).is_valid(value)


@pytest.mark.parametrize(
    ("value", "is_valid"), [(0, False), ("0.0", False), (0.7, True), ("0.7", True)]
)
def test_a_share_may_have_to_be_above_zero(value: object, is_valid: bool) -> None:  # noqa: FBT001
    assert Draft202012Validator(share(above_zero=True).to_dict()).is_valid(value) is is_valid
