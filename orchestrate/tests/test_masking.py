"""What is printed and posted, without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


@given(st.lists(st.text(min_size=4, max_size=30), min_size=1, max_size=4), st.data())
def test_no_secret_survives_masking(secrets: list[str], data: st.DataObject) -> None:
    environment = {f"S{number}": secret for number, secret in enumerate(secrets)}
    words = data.draw(st.lists(st.sampled_from([*secrets, "a", " ", "\n"]), max_size=8))
    mask = Mask(environment, environment)

    masked = mask("".join(words)).replace(MASK, "")

    lines = {line for secret in secrets for line in secret.splitlines() if len(line) >= 4}
    assert not [line for line in lines if line in masked and line not in MASK]


def test_secrets_are_masked_in_urls_keys_and_json() -> None:
    environment = {
        "URI": "postgresql+psycopg://user:p%40ssword@host/db",
        "KEY": "-----BEGIN KEY-----\nMIIEvQ+abc\n-----END KEY-----",
        "QUOTED": 'p&ss"word<1>',
        "OPEN": "visible",
    }
    mask = Mask(environment, ["URI", "KEY", "QUOTED", "MISSING"])

    shown = mask('p@ssword p%40ssword MIIEvQ+abc {"a": "p&ss\\"word<1>"} visible')

    assert shown == f'{MASK} {MASK} {MASK} {{"a": "{MASK}"}} visible'
