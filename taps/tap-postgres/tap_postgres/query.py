"""The text of a manifest's query: filled for an interval, or without its conditions on time.

Everything is decided on sqlglot's tree. For that, each placeholder becomes a number that occurs
nowhere else, which reads as SQL inside a string and outside of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from tap_postgres.placeholders import INTERNAL, TIME, fill
from tap_postgres.whole_query import ADVICE, DIALECT, cut_text, without_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlglot.tokenizer_core import Token

_NUMBERS = {name: f"7703551899{index:02}" for index, name in enumerate((*TIME, *INTERNAL))}
_STAND_INS = {
    name: f"({number})" if name in INTERNAL else number for name, number in _NUMBERS.items()
}
_TIMES = tuple(_NUMBERS[name] for name in TIME)
_INTERNALS = tuple(_NUMBERS[name] for name in INTERNAL)
_IN_BRACES = re.compile(r"\{([^{}]*)\}")  # sought in string literals
_LIKE_A_NAME = re.compile(r"[A-Z][A-Z_]*")
# Functions that may give several rows for one, or one for several, or that sqlglot does not know.
_MANY_ROWS = (exp.Unnest, exp.Explode, exp.ExplodingGenerateSeries, exp.Anonymous, exp.AggFunc)


@dataclass(frozen=True)
class BaseTable:
    """The one table whose rows a query gives one to one.

    Attributes:
        schema: Its schema, empty where the query names none.
        name: Its name.
        columns: From the query's columns to the table's; None when the query is `SELECT *`.
    """

    schema: str
    name: str
    columns: Mapping[str, str] | None

    def column(self, name: str) -> str | None:
        """The table's column that a column of the query shows as it is."""
        return name if self.columns is None else self.columns.get(name)


class ManifestQuery:
    """An `import_query` with its `additional_filtering`.

    Raises:
        ValueError: it is not one SELECT, or a placeholder is unknown or in a wrong place; the text
            is the rest of a sentence.
    """

    def __init__(self, import_query: str, additional_filtering: str = "") -> None:
        query = _without_semicolon(import_query.replace("%%", "%").strip())
        condition = additional_filtering.replace("%%", "%").strip()
        _check_placeholders(f"{query}\n{condition}")
        tree = _parse(fill(query, _STAND_INS))
        self._text: str | None = query
        if condition:
            self._text = f"{query}\n{condition}"
            tree = _filtered(tree, condition)
            if _parse_or_none(fill(self._text, _STAND_INS)) != tree:
                self._text = None  # written behind the query, it would say something else
        self._tree = tree
        self._whole = without_times(
            tree, lambda part: _mentions(part, _TIMES), lambda part: _mentions(part, _INTERNALS)
        )
        self._whole_text = self._cut()

    @property
    def has_interval(self) -> bool:
        """Whether a condition limits the rows to an interval."""
        return self._whole != self._tree

    @property
    def has_internal_keys(self) -> bool:
        """Whether the rows are limited by lists from the seed files."""
        return any(
            number == literal.this
            for literal in self._tree.find_all(exp.Literal)
            for number in (_NUMBERS[name] for name in INTERNAL)
        )

    def filled(self, values: Mapping[str, str]) -> str:
        """The query as it was written, with the values in place of the placeholders."""
        return self._sql(self._tree, self._text, values)

    def whole(self, values: Mapping[str, str]) -> str:
        """The query without its conditions on time."""
        return self._sql(self._whole, self._whole_text, values)

    def _cut(self) -> str | None:
        """The text of the query without its conditions on time, where cutting is enough.

        Raises:
            ValueError: it has to be written anew, and sqlglot would write it otherwise.
        """
        if not self.has_interval:
            return self._text
        if self._text is not None:
            text = fill(self._text, _STAND_INS)
            cut = cut_text(text, self._whole, lambda token: any(n in token for n in _TIMES))
            if cut is not None:
                return _with_placeholders(cut)
        if strange := _literals(self._generated(self._whole)) - _literals(
            fill(self._text, _STAND_INS) if self._text else self._generated(self._whole)
        ):
            raise ValueError(
                f"cannot be sent without its conditions on time: {min(strange)} would be written "
                f"otherwise; {ADVICE}"
            )
        return None

    @cached_property
    def output_columns(self) -> tuple[str | None, ...] | None:
        """The columns' names, None for one that PostgreSQL names; None as a whole with a `*`."""
        selects = self._tree.selects
        if any(isinstance(select, exp.Star) or select.is_star for select in selects):
            return None
        return tuple(_output_name(select) for select in selects)

    @cached_property
    def base(self) -> BaseTable | None:
        """The table below the query, when each row comes from one row of that table."""
        tree = self._tree
        source = tree.args.get("from_") or tree.args.get("from")
        if not isinstance(tree, exp.Select) or source is None or not _is_plain(tree, source.this):
            return None
        columns: dict[str, str] | None = {
            name: _folded(cast("exp.Identifier", column.this))
            for select, name in zip(tree.selects, self.output_columns or (), strict=False)
            if name and isinstance(column := select.unalias(), exp.Column)
        }
        if len(tree.selects) == 1 and tree.selects[0].is_star:
            columns = None
        schema = source.this.args.get("db")
        return BaseTable(_folded(schema) if schema else "", _folded(source.this.this), columns)

    @classmethod
    def _sql(cls, tree: exp.Query, text: str | None, values: Mapping[str, str]) -> str:
        return fill(_with_placeholders(cls._generated(tree)) if text is None else text, values)

    @staticmethod
    def _generated(tree: exp.Query) -> str:
        return tree.sql(dialect=DIALECT, comments=False)


def _with_placeholders(text: str) -> str:
    """The text with placeholders again where it has their numbers."""
    for name, stand_in in _STAND_INS.items():
        text = text.replace(stand_in, f"{{{name}}}")
    return text


def _literals(text: str) -> set[str]:
    """The strings and numbers of a text, in lower case."""
    return {
        token.text.lower()
        for token in _tokens(text)
        if token.token_type.name.endswith("STRING") or token.token_type == TokenType.NUMBER
    }


def check_condition(condition: str) -> None:
    """Check an `additional_filtering` by itself.

    Raises:
        ValueError: it does not begin with AND, or is no condition.
    """
    text = condition.replace("%%", "%")
    _check_placeholders(text)
    tokens = _tokens(text)
    if tokens and tokens[0].token_type != TokenType.AND:
        raise ValueError("does not start with AND")
    _parse_condition(text)


def _parse_condition(condition: str) -> exp.Expr:
    """What follows `WHERE true`, which must be a condition and nothing behind it."""
    parsed = _parse(f"SELECT 1 WHERE true {fill(condition, _STAND_INS)}")
    clauses = {name for name, value in parsed.args.items() if value}
    if clauses - {"expressions", "where", "kind"}:
        raise ValueError("is more than a condition; put what is behind it into import_query")
    where: exp.Expr = parsed.args["where"].this
    return where


def _without_semicolon(query: str) -> str:
    """Cut off a semicolon at the end, with what comments follow it."""
    tokens = _tokens(query)
    if tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        return query[: tokens[-1].start].rstrip()
    return query


def _tokens(text: str) -> list[Token]:
    try:
        return sqlglot.tokenize(text, dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError(f"does not parse: {_first_line(error)}") from error


def _check_placeholders(text: str) -> None:
    tokens = _tokens(fill(text, _STAND_INS))
    unknown: list[str] = []
    for index, token in enumerate(tokens):
        if token.token_type.name.endswith("STRING"):
            unknown += filter(_looks_like_a_placeholder, _IN_BRACES.findall(token.text))
        elif token.token_type == TokenType.L_BRACE:
            unknown += [after.text for after in tokens[index + 1 : index + 2]]
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in dict.fromkeys(unknown))
        raise ValueError(f"unknown placeholder {names}")


def _looks_like_a_placeholder(text: str) -> bool:
    """Whether what stands in braces in a string is one, or one misspelt in case or by a sign."""
    spelt = re.sub(r"\W", "_", text.strip()).upper()
    return bool(_LIKE_A_NAME.fullmatch(text)) or spelt in _NUMBERS


def _parse(text: str) -> exp.Query:
    try:
        statements = sqlglot.parse(text, dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError(f"does not parse: {_first_line(error)}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ValueError("is not one SELECT")
    return statements[0]


def _parse_or_none(text: str) -> exp.Query | None:
    try:
        return _parse(text)
    except ValueError:
        return None


def _first_line(error: SqlglotError) -> str:
    return str(error).splitlines()[0]


def _filtered(tree: exp.Query, condition: str) -> exp.Query:
    """Add a condition to the query; to each one of a UNION, so that no row comes around it."""
    extra = [part for part in _conjuncts(_parse_condition(condition)) if part.sql() != "TRUE"]
    tree = tree.copy()
    for select in _arms(tree):
        for part in extra:
            select.where(part.copy(), copy=False)
    return tree


def _arms(tree: exp.Expr) -> Iterator[exp.Select]:
    if isinstance(tree, exp.SetOperation):
        yield from _arms(tree.left)
        yield from _arms(tree.right)
    elif isinstance(tree, exp.Subquery):
        yield from _arms(tree.this)
    elif isinstance(tree, exp.Select):
        yield tree


def _conjuncts(condition: exp.Expr) -> list[exp.Expr]:
    return list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def _mentions(tree: exp.Expr, numbers: Iterable[str]) -> bool:
    texts = [str(literal.this) for literal in tree.find_all(exp.Literal)]
    return any(number in text for number in numbers for text in texts)


def _is_plain(tree: exp.Select, source: exp.Expr) -> bool:
    clauses = ("with_", "with", "joins", "laterals", "group", "distinct")
    return (
        isinstance(source, exp.Table)
        and isinstance(source.this, exp.Identifier)
        and not any(source.args.get(clause) for clause in ("joins", "laterals", "sample"))
        and not any(tree.args.get(clause) for clause in clauses)
        and not any(select.find(*_MANY_ROWS) for select in tree.selects)
    )


def _output_name(select: exp.Expr) -> str | None:
    named = select.args.get("alias") if isinstance(select, exp.Alias) else select.this
    return _folded(named) if isinstance(named, exp.Identifier) else None


def _folded(name: exp.Expr) -> str:
    """A name as PostgreSQL has it: in lower case unless it was quoted."""
    return name.name if name.args.get("quoted") else name.name.lower()
