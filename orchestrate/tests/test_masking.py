"""What is printed and posted, without secrets."""

from __future__ import annotations

import pytest
from orchestrate.masking import MASK, Mask


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql+psycopg://user:p[ss@host/db", "no log-in for p[ss"),
        ("p@ss/word", "GET /?key=p%40ss%2Fword"),
        ("pass word", "GET /?key=pass+word"),
        ("https://host/p@ss", "GET https://host/p@ss"),
    ],
)
def test_a_secret_is_masked_in_each_spelling(value: str, shown: str) -> None:
    mask = Mask({"SECRET": value}, ["SECRET"])

    assert mask(shown).endswith(MASK)
