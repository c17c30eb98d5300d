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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlglot.tokenizer_core import Token

DIALECT = "postgres"
_NUMBERS = {name: f"7703551899{index:02}" for index, name in enumerate((*TIME, *INTERNAL))}
_STAND_INS = {
    name: f"({number})" if name in INTERNAL else number for name, number in _NUMBERS.items()
}
_TIMES = tuple(_NUMBERS[name] for name in TIME)
_IN_BRACES = re.compile(r"\{([A-Z][A-Z_]*)\}")  # sought in string literals
_CLAUSES = (exp.Join, exp.Having, exp.Limit, exp.Offset, exp.Order, exp.Group, exp.Select)
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
        self._whole = _without_times(tree)

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
        text = None if self.has_interval else self._text
        return self._sql(self._whole, text, values)

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

    @staticmethod
    def _sql(tree: exp.Query, text: str | None, values: Mapping[str, str]) -> str:
        if text is not None:
            return fill(text, values)
        generated = tree.sql(dialect=DIALECT, comments=False)
        for name, stand_in in _STAND_INS.items():
            generated = generated.replace(stand_in, values.get(name, stand_in))
        return generated


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
    _parse(f"SELECT 1 WHERE true {fill(text, _STAND_INS)}")


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
    unknown = []
    for index, token in enumerate(tokens):
        if token.token_type.name.endswith("STRING"):
            unknown += _IN_BRACES.findall(token.text)
        elif token.token_type == TokenType.L_BRACE:
            unknown += [after.text for after in tokens[index + 1 : index + 2]]
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in dict.fromkeys(unknown))
        raise ValueError(f"unknown placeholder {names}")


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
    parsed = _parse(f"SELECT 1 WHERE true {fill(condition, _STAND_INS)}")
    extra = [part for part in _conjuncts(parsed.args["where"].this) if part.sql() != "TRUE"]
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


def _without_times(tree: exp.Query) -> exp.Query:
    tree = tree.copy()
    for where in reversed(list(tree.find_all(exp.Where, bfs=True))):  # the innermost first
        if not _mentions_time(where):
            continue
        select = where.parent_select
        if select is not None and select.find_ancestor(exp.Not):
            raise ValueError("has a time placeholder below a NOT, where it cannot be left out")
        kept = _kept(where.this)
        if kept is None:
            where.pop()
        else:
            where.set("this", kept)
    for literal in tree.find_all(exp.Literal):
        clause = literal.find_ancestor(*_CLAUSES)
        if _mentions_time(literal) and not isinstance(clause, exp.Select):
            place = clause.key.upper() if clause else "?"
            raise ValueError(
                f"has a time placeholder in its {place}, where a full sync cannot leave it out; "
                "move it to a WHERE"
            )
    return tree


def _kept(condition: exp.Expr) -> exp.Expr | None:
    """What is left of a condition without its parts on time."""
    if not _mentions_time(condition):
        return condition
    if isinstance(condition, exp.Paren):
        inner = _kept(condition.this)
        return inner if inner is None else exp.Paren(this=inner)
    if isinstance(condition, exp.And):
        parts = [_kept(part) for part in (condition.left, condition.right)]
        kept = [part for part in parts if part is not None]
        return exp.and_(*kept, copy=False) if kept else None
    return None


def _mentions_time(tree: exp.Expr) -> bool:
    return any(
        number in str(literal.this) for literal in tree.find_all(exp.Literal) for number in _TIMES
    )


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
