"""A manifest's query as tokens, in which a number stands for each placeholder.

The numbers occur nowhere else, and read as SQL inside a string and outside of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from tap_postgres.placeholders import INTERNAL, LENGTHS, MOMENTS, TIME, fill
from tap_postgres.whole_query import DIALECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlglot.tokenizer_core import Token

_NUMBERS = {name: f"7703551899{index:02}" for index, name in enumerate((*TIME, *INTERNAL))}
STAND_INS = {
    name: f"({number})" if name in INTERNAL else number for name, number in _NUMBERS.items()
}
TIME_NUMBERS = tuple(_NUMBERS[name] for name in TIME)
MOMENT_NUMBERS = tuple(_NUMBERS[name] for name in MOMENTS)
LENGTH_NUMBERS = tuple(_NUMBERS[name] for name in LENGTHS)
INTERNAL_NUMBERS = tuple(_NUMBERS[name] for name in INTERNAL)
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def tokens_of(text: str) -> list[Token]:
    """Cut a text into tokens.

    Raises:
        ValueError: that cannot be done; the text is the rest of a sentence.
    """
    try:
        return sqlglot.tokenize(text, dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError(f"does not parse: {first_line(error)}") from error


def first_line(error: SqlglotError) -> str:
    """What is wrong, without the query that sqlglot shows behind it."""
    return str(error).splitlines()[0].rstrip(".")


def with_placeholders(text: str) -> str:
    """The text with placeholders again where it has their numbers."""
    for name, stand_in in STAND_INS.items():
        text = text.replace(stand_in, f"{{{name}}}")
    return text


def literals(text: str) -> set[str]:
    """The strings and numbers of a text, in lower case."""
    return {
        token.text.lower()
        for token in tokens_of(text)
        if token.token_type.name.endswith("STRING") or token.token_type == TokenType.NUMBER
    }


def unknown_placeholders(text: str) -> list[str]:
    """What stands in braces, in a string or outside of one, and is no placeholder, once each.

    Comments may have braces, and strings too unless it looks like a placeholder misspelt.

    Raises:
        ValueError: the text cannot be cut into tokens; says why.
    """
    filled = fill(text, STAND_INS)
    found: list[str] = []
    opened: Token | None = None
    for token in tokens_of(filled):
        if token.token_type.name.endswith("STRING"):
            found += filter(_looks_like_a_placeholder, _in_braces(token.text))
        elif token.token_type == TokenType.L_BRACE:
            opened = token
        elif token.token_type == TokenType.R_BRACE and opened is not None:
            found.append(filled[opened.end + 1 : token.start])
            opened = None
    return list(dict.fromkeys(found))


def unknown_text(names: Iterable[str]) -> str:
    """The rest of a sentence about placeholders that are unknown."""
    return f"unknown placeholder {', '.join(f'{{{name}}}' for name in names)}"


def _in_braces(content: str) -> Iterator[str]:
    """What stands between an opening brace and the closing one next to it, in a string."""
    opened: int | None = None
    for place, character in enumerate(content):
        if character == "{":
            opened = place + 1
        elif character == "}" and opened is not None:
            yield content[opened:place]
            opened = None


def _looks_like_a_placeholder(text: str) -> bool:
    """Whether what stands in braces in a string is one, or one misspelt in case or by a sign."""
    spelt = "".join(letter if letter.isalnum() else "_" for letter in text.strip()).upper()
    return spelt in _NUMBERS or (
        text[:1] in _LETTERS and _LETTERS.issuperset(text.replace("_", ""))
    )
