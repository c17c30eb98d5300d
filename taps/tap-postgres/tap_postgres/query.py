"""The text of a manifest's query: filled for an interval, or without its conditions on time.

Everything is decided on sqlglot's tokens and tree, with a number for each placeholder (`tokens`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.tokenizer_core import TokenType

from tap_postgres.placeholders import fill
from tap_postgres.tokens import (
    INTERNAL_NUMBERS,
    LENGTH_NUMBERS,
    MOMENT_NUMBERS,
    STAND_INS,
    TIME_NUMBERS,
    first_line,
    literals,
    tokens_of,
    unknown_placeholders,
    unknown_text,
    with_placeholders,
)
from tap_postgres.whole_query import ADVICE, DIALECT, cut_text, without_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlglot.tokenizer_core import Token

_BEFORE_WHERE = {"with_", "kind", "distinct", "expressions", "from_", "joins", "laterals"}
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
        if unknown := unknown_placeholders(f"{query}\n{condition}"):
            raise ValueError(unknown_text(unknown))
        tree = _parse(fill(query, STAND_INS))
        self._text: str | None = query
        if condition:
            texts = [f"{query}\n{form}" for form in _forms(condition, tree)]
            tree = _filtered(tree, condition)
            # None where it would say something else, written behind the query.
            self._text = next(
                (text for text in texts if _parse_or_none(fill(text, STAND_INS)) == tree), None
            )
        self._tree = tree
        self._whole = without_times(
            tree,
            lambda part: _mentions(part, TIME_NUMBERS),
            lambda part: _mentions(part, INTERNAL_NUMBERS),
        )
        self._whole_text = self._cut() or with_placeholders(self._generated(self._whole))
        self._filled_text = self._text or with_placeholders(self._generated(tree))

    @property
    def has_interval(self) -> bool:
        """Whether a condition limits the rows to an interval."""
        return self._whole != self._tree

    @property
    def counts_from_elsewhere(self) -> bool:
        """Whether a condition counts hours or days, but not from a moment of the interval.

        From now(), say, it lets no row of an earlier piece of the interval pass.
        """
        if _mentions(self._whole, MOMENT_NUMBERS):
            return False  # selected below, the moment may be what a condition counts from
        conditions = (
            _condition_around(literal)
            for literal in self._tree.find_all(exp.Literal)
            if _mentions(literal, LENGTH_NUMBERS) and literal.find_ancestor(exp.Where)
        )
        return any(not _mentions(condition, MOMENT_NUMBERS) for condition in conditions)

    @property
    def has_internal_keys(self) -> bool:
        """Whether the rows are limited by lists from the seed files."""
        return any(literal.this in INTERNAL_NUMBERS for literal in self._tree.find_all(exp.Literal))

    def filled(self, values: Mapping[str, str]) -> str:
        """The query as it was written, with the values in place of the placeholders."""
        return fill(self._filled_text, values)

    def whole(self, values: Mapping[str, str]) -> str:
        """The query without its conditions on time."""
        return fill(self._whole_text, values)

    def _cut(self) -> str | None:
        """The text of the query without its conditions on time, where cutting is enough.

        Raises:
            ValueError: it has to be written anew, and sqlglot would write it otherwise.
        """
        if not self.has_interval:
            return self._text
        if self._text is not None:
            text = fill(self._text, STAND_INS)
            cut = cut_text(text, self._whole, lambda token: any(n in token for n in TIME_NUMBERS))
            if cut is not None:
                return with_placeholders(cut)
        if strange := literals(self._generated(self._whole)) - literals(
            fill(self._text, STAND_INS) if self._text else self._generated(self._whole)
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

    def aliases_of(self, expression: exp.Expr) -> list[str]:
        """The names under which the query selects an expression."""
        wanted = _with_folded_names(expression)
        return [
            _folded(cast("exp.Identifier", select.args["alias"]))
            for select in self._tree.selects
            if isinstance(select, exp.Alias) and _with_folded_names(select.this) == wanted
        ]

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

    @property
    def locks_rows(self) -> bool:
        """Whether it has FOR UPDATE, FOR SHARE or the like."""
        return self._tree.find(exp.Lock) is not None

    @staticmethod
    def _generated(tree: exp.Query) -> str:
        return tree.sql(dialect=DIALECT, comments=False)


@cache
def parse_query(import_query: str, additional_filtering: str) -> ManifestQuery:
    """The query of a manifest's entry, parsed once however often it is asked for.

    Raises:
        ValueError: see `ManifestQuery`.
    """
    return ManifestQuery(import_query, additional_filtering)


def check_condition(condition: str) -> None:
    """Check an `additional_filtering` by itself.

    Raises:
        ValueError: it begins with neither AND nor WHERE, or is no condition.
    """
    text = condition.replace("%%", "%")
    if unknown := unknown_placeholders(text):
        raise ValueError(unknown_text(unknown))
    tokens = tokens_of(text)
    if tokens and tokens[0].token_type not in (TokenType.AND, TokenType.WHERE):
        raise ValueError("does not start with AND or WHERE")
    _parse_condition(text)


def parse_names(text: str) -> list[exp.Expr]:
    """Parse a list of columns or other expressions, without what makes no difference.

    Raises:
        ValueError: it is none; the text is the rest of a sentence.
    """
    parsed = _parse(f"SELECT {text}")
    clauses = {name for name, value in parsed.args.items() if value}
    if clauses - {"expressions", "kind"}:
        raise ValueError("is more than a list of columns")
    return list(parsed.selects)


def column_name(expression: exp.Expr) -> str | None:
    """The name of a column, as PostgreSQL has it; None for any other expression."""
    is_column = isinstance(expression, exp.Column) and isinstance(expression.this, exp.Identifier)
    return _folded(expression.this) if is_column else None


def _forms(condition: str, tree: exp.Query) -> Iterator[str]:
    """How an `additional_filtering` may be written behind a query."""
    tokens = tokens_of(condition)
    if not _begins_with_where(tokens):
        yield condition
        return
    clauses = {name for name, value in tree.args.items() if value}
    if clauses <= _BEFORE_WHERE:  # sqlglot reads a WHERE behind a GROUP BY too
        yield condition
    rest = condition[tokens[0].end + 1 :]
    yield f"AND {rest}"
    yield f"AND ({rest}\n)"


def _begins_with_where(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and tokens[0].token_type == TokenType.WHERE


def _parse_condition(condition: str) -> exp.Expr:
    """What follows `AND` or `WHERE`, which must be a condition and nothing behind it."""
    text = fill(condition, STAND_INS)
    before = "SELECT 1" if _begins_with_where(tokens_of(text)) else "SELECT 1 WHERE true"
    parsed = _parse(f"{before} {text}")
    clauses = {name for name, value in parsed.args.items() if value}
    if clauses - {"expressions", "where", "kind"}:
        raise ValueError("is more than a condition; put what is behind it into import_query")
    where: exp.Expr = parsed.args["where"].this
    return where


def _without_semicolon(query: str) -> str:
    """Cut off a semicolon at the end, with what comments follow it."""
    tokens = tokens_of(query)
    if tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        return query[: tokens[-1].start].rstrip()
    return query


def _parse(text: str) -> exp.Query:
    try:
        statements = sqlglot.parse(text, dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError(f"does not parse: {first_line(error)}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ValueError("is not one SELECT")
    return statements[0]


def _parse_or_none(text: str) -> exp.Query | None:
    try:
        return _parse(text)
    except ValueError:
        return None


def _filtered(tree: exp.Query, condition: str) -> exp.Query:
    """Add a condition to the query; to each one of a UNION, so that no row comes around it."""
    extra = [part for part in _conjuncts(_parse_condition(condition)) if part.sql() != "TRUE"]
    tree = tree.copy()
    for select in _arms(tree):
        select.where(*(part.copy() for part in extra), copy=False)
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


def _condition_around(node: exp.Expr) -> exp.Expr:
    """The condition that an expression in a WHERE is part of, among those AND and OR join."""
    while node.parent is not None and not isinstance(node.parent, exp.Where | exp.And | exp.Or):
        node = node.parent
    return node


def _with_folded_names(expression: exp.Expr) -> exp.Expr:
    return normalize_identifiers(expression.copy(), dialect=DIALECT)


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
