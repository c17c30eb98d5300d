"""Names in Snowflake: folded, never two alike, never too long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowflake_loader.names import MAX_LENGTH, fold, fold_all, literal, quote, table_name

names = st.lists(st.text(min_size=1, max_size=300), unique=True, max_size=30)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("name", "NAME"),
        ("First Name", "FIRST_NAME"),
        ("a.b-c", "A_B_C"),
        ("2fa", "_2FA"),
        ("order", "ORDER"),
        ("größe", "GRÖSSE"),
        ("", "_"),
        ('say "hi"', "SAY__HI_"),
    ],
)
def test_names_fold_to_what_an_analyst_can_type(name: str, folded: str) -> None:
    assert fold(name) == folded


@given(names)
def test_columns_stay_apart_whatever_they_are_called(columns: list[str]) -> None:
    folded = fold_all(columns)

    assert list(folded) == columns
    assert len({name.upper() for name in folded.values()}) == len(columns)
    assert all(len(name) <= MAX_LENGTH for name in folded.values())


@given(names, st.randoms(use_true_random=False))
def test_a_column_keeps_its_name_when_the_source_reorders(columns: list[str], random: Any) -> None:
    shuffled = random.sample(columns, len(columns))

    assert fold_all(shuffled) == {name: fold_all(columns)[name] for name in shuffled}


def test_of_two_columns_that_fold_alike_the_lower_case_one_keeps_the_name() -> None:
    folded = fold_all(["ID", "id", "Id"])

    assert folded["id"] == "ID"
    assert len(set(folded.values())) == 3


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    assert fold("x" * 300 + "a") != fold("x" * 300 + "b")


def test_tables_follow_the_last_part_of_a_stream() -> None:
    assert table_name("public-users", whole=False) == "USERS"
    assert table_name("public-users", whole=True) == "PUBLIC_USERS"


def test_quotes_and_backslashes_are_escaped() -> None:
    assert quote('a"b') == '"a""b"'
    assert literal("it's \\n") == "'it''s \\\\n'"
