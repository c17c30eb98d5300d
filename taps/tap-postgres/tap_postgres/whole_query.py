"""A manifest's query without its conditions on time, which a full sync sends.

Leaving a condition out must only ever add rows. So it is left out where it stands in a WHERE, as a
part of AND and OR, and refused where fewer rows below would be more rows above, or other values.
What is left is the text as it was written, with those conditions cut out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlglot.tokenizer_core import Token

    Mentions = Callable[[exp.Expr], bool]

DIALECT = "postgres"
ADVICE = "write it as a part of the query's own WHERE, joined by AND"
_CLAUSES = (exp.Join, exp.Having, exp.Limit, exp.Offset, exp.Order, exp.Group, exp.Select)
# Above these, more rows below are never fewer rows, nor other values.
_GROWING = (
    exp.Select, exp.Subquery, exp.From, exp.With, exp.Union, exp.Intersect, exp.Except, exp.Where,
    exp.And, exp.Or, exp.Paren, exp.In, exp.Exists, exp.Any, exp.Table, exp.Lateral,
)  # fmt: skip
_ENDS_OF_WHERE = {
    TokenType.GROUP_BY, TokenType.HAVING, TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET,
    TokenType.FETCH, TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.WINDOW,
    TokenType.FOR, TokenType.SEMICOLON,
}  # fmt: skip
_OPENS, _CLOSES = {TokenType.L_PAREN, TokenType.CASE}, {TokenType.R_PAREN, TokenType.END}


def without_times(tree: exp.Query, on_time: Mentions, on_internal: Mentions) -> exp.Query:
    """Return a copy without the conditions on time.

    Args:
        tree: The query.
        on_time: Whether an expression mentions a time placeholder.
        on_internal: Whether it mentions a list of the seed files, which must always hold.

    Raises:
        ValueError: one cannot be left out; the text is the rest of a sentence.
    """
    tree = tree.copy()
    problems: list[str] = []
    for where in reversed(list(tree.find_all(exp.Where, bfs=True))):  # the innermost first
        if not on_time(where):
            continue
        try:
            _check_place(where, tree)
            kept = _kept(where.this, on_time, on_internal)
        except ValueError as error:
            problems.append(str(error))
            continue
        if kept is None:
            where.pop()
        else:
            where.set("this", kept)
    problems += _outside_of_wheres(tree, on_time)
    if problems:
        raise ValueError("; ".join(dict.fromkeys(problems)))
    return tree


def _outside_of_wheres(tree: exp.Query, on_time: Mentions) -> Iterator[str]:
    for literal in filter(on_time, tree.find_all(exp.Literal)):
        clause = literal.find_ancestor(exp.Where, *_CLAUSES)
        if not isinstance(clause, exp.Where | exp.Select):
            place = clause.key.upper() if clause else "?"
            yield (
                f"has a time placeholder in its {place}, where a full sync cannot leave it out; "
                "move it to a WHERE"
            )


def cut_text(text: str, whole: exp.Query, on_time: Callable[[str], bool]) -> str | None:
    """The text without the conditions on time; None if cutting gives anything but `whole`.

    Args:
        text: The query, with a number in place of each placeholder.
        whole: What must be left.
        on_time: Whether a token's text mentions a time placeholder.
    """
    tokens = sqlglot.tokenize(text, dialect=DIALECT)
    for start, end in sorted(_cuts(tokens, on_time), reverse=True):
        text = text[:start] + text[end:]
    try:
        found = sqlglot.parse(text, dialect=DIALECT)
    except SqlglotError:
        return None
    return text if found == [whole] else None


def _kept(condition: exp.Expr, on_time: Mentions, on_internal: Mentions) -> exp.Expr | None:
    """What is left of a condition that holds for more rows; None when it would be always true."""
    if not on_time(condition):
        return condition
    if isinstance(condition, exp.Paren):
        inner = _kept(condition.this, on_time, on_internal)
        return inner if inner is None else exp.Paren(this=inner)
    if isinstance(condition, exp.And | exp.Or):
        parts = list(condition.flatten(unnest=False))
        found = [_kept(part, on_time, on_internal) for part in parts]
        kept = [part for part in found if part is not None]
        if isinstance(condition, exp.And) or len(kept) == len(parts):
            return _joined(type(condition), kept)
    if on_internal(condition):
        raise ValueError(
            "has a time placeholder and an internal key in one condition, so that a full sync "
            f"would leave out both; {ADVICE}"
        )
    return None


def _joined(connector: type[exp.And | exp.Or], parts: list[exp.Expr]) -> exp.Expr | None:
    """The parts as the parser joins them, without going deeper for each of them."""
    joined = parts[0] if parts else None
    for part in parts[1:]:
        joined = connector(this=joined, expression=part)
    return joined


def _check_place(node: exp.Expr, tree: exp.Query) -> None:
    """Refuse a place where more rows would be fewer rows, or other values, further up.

    Raises:
        ValueError: it is one.
    """
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.CTE):
            for table in tree.find_all(exp.Table):
                if table.name == parent.alias and not table.db and not _is_below(table, parent):
                    _check_place(table, tree)
            return
        if misplaced := _misplaced(node, parent):
            raise ValueError(
                f"has a time placeholder {misplaced}, where it cannot be left out; {ADVICE}"
            )
        node = parent


def _is_below(node: exp.Expr, above: exp.Expr) -> bool:
    ancestor = node.parent
    while ancestor is not None and ancestor is not above:
        ancestor = ancestor.parent
    return ancestor is above


def _misplaced(node: exp.Expr, parent: exp.Expr) -> str | None:
    """What is wrong with a place, as the middle of a sentence; None if nothing is."""
    if isinstance(parent, exp.Not):
        return "below a NOT"
    if isinstance(parent, exp.Except) and node.arg_key == "expression":
        return "behind EXCEPT"
    if isinstance(parent, exp.Join) and parent.side in ("LEFT", "FULL"):
        return f"below a {parent.side} JOIN"
    if isinstance(parent, exp.From | exp.Join):
        return "below an outer JOIN" if _is_optional(parent) else None
    if isinstance(parent, exp.Select) and node.arg_key == "expressions":
        return "in a subquery whose value is selected"
    is_any = isinstance(node, exp.Any) and isinstance(parent, exp.Predicate)
    return None if is_any or isinstance(parent, _GROWING) else "in a subquery whose value is used"


def _is_optional(source: exp.Expr) -> bool:
    """Whether a later RIGHT or FULL JOIN makes rows of this source optional."""
    select = source.parent
    joins = select.args.get("joins", []) if isinstance(select, exp.Select) else []
    later = joins[joins.index(source) + 1 :] if source in joins else joins
    return any(join.side in ("RIGHT", "FULL") for join in later)


def _cuts(tokens: Sequence[Token], on_time: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """The parts of the text to cut: conditions with an AND beside them, or a whole WHERE."""
    for place, token in enumerate(tokens):
        if token.token_type != TokenType.WHERE:
            continue
        parts = _conditions(tokens, place + 1)
        dropped = [
            any(on_time(t.text) for t in part)
            and not any(t.token_type == TokenType.WHERE for t in part)
            for part in parts
        ]
        if all(dropped):
            yield token.start, parts[-1][-1].end + 1
            continue
        first_kept = dropped.index(False)
        if first_kept:
            yield parts[0][0].start, parts[first_kept][0].start
        for index in range(first_kept + 1, len(parts)):
            if dropped[index]:
                yield parts[index - 1][-1].end + 1, parts[index][-1].end + 1


def _conditions(tokens: Sequence[Token], start: int) -> list[list[Token]]:
    """The conditions of a WHERE that AND joins, as their tokens."""
    parts: list[list[Token]] = [[]]
    depth = between = 0
    for token in tokens[start:]:
        kind = token.token_type
        depth += (kind in _OPENS) - (kind in _CLOSES)
        if depth < 0 or (depth == 0 and kind in _ENDS_OF_WHERE):
            break
        if depth == 0 and kind == TokenType.BETWEEN:
            between += 1
        if depth == 0 and kind == TokenType.AND:
            if between == 0:
                parts.append([])
                continue
            between -= 1
        parts[-1].append(token)
    return [part for part in parts if part]
