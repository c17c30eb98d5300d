"""What the text of a manifest's entry shows to be wrong with it: all of it, not the first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tap_postgres.entry_key import find_key
from tap_postgres.placeholders import fill
from tap_postgres.query import check_condition, parse_query
from tap_postgres.stamps import stamp_names
from tap_postgres.tokens import unknown_placeholders, unknown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_postgres.query import ManifestQuery

_FROM_ELSEWHERE = (
    "counts {HOURS} or {DAYS} from another moment than {EXECUTION_DATE}, {BEGIN_TIMESTAMP} or "
    "{END_TIMESTAMP}, so that rows would be missed after a pause; count from {EXECUTION_DATE}"
)
_NO_KEY = (
    "is empty, but increments are merged by it and load_by_id goes by it: name one, or, where rows "
    "are loaded by interval, set load_method to append-only"
)
_TOO_DEEP = "is nested too deeply, or has too many conditions, to be looked at; shorten it"


def findings(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an entry's condition, query and key; each begins with the key.

    What is missing or of another type is not looked at: pydantic says that. A table that is copied
    needs no key, so a wrong one is no mistake there.
    """
    texts = {name: value for name, value in entry.items() if isinstance(value, str)}
    condition = texts.get("additional_filtering", "")
    if condition.strip():
        wrong = _of_condition(condition)
        yield from (f"additional_filtering: {finding}" for finding in wrong)
        condition = "" if wrong else condition
    query: ManifestQuery | None = None
    by_id = bool(entry.get("incremental_type"))
    if "import_query" in texts:
        wrong, query = _of_query(texts["import_query"], condition)
        yield from (f"import_query: {finding}" for finding in wrong)
    if query is not None:
        yield from _of_columns(query, advanced_metadata=entry.get("advanced_metadata") is True)
        if query.counts_from_elsewhere and not by_id:
            yield f"import_query: {_FROM_ELSEWHERE}"
    key = texts.get("export_table_primary_key")
    if key is not None and (by_id or (query is not None and query.has_interval)):
        appends = entry.get("load_method") == "append-only" and not by_id
        wrong = _of_key(key, query, is_needed=not appends)
        yield from (f"export_table_primary_key: {finding}" for finding in wrong)


def _of_key(key: str, query: ManifestQuery | None, *, is_needed: bool) -> list[str]:
    if not key.strip():
        return [_NO_KEY] if is_needed else []
    problem = find_key(key, query).problem if query else None
    return [problem] if problem else []


def _of_condition(condition: str) -> list[str]:
    try:
        check_condition(condition)
    except ValueError as error:
        return [str(error)]
    except RecursionError:
        return [_TOO_DEEP]
    return []


def _of_query(text: str, condition: str) -> tuple[list[str], ManifestQuery | None]:
    """What is wrong, and the query when the rest of it can be looked at."""
    found: list[str] = []
    try:
        if unknown := unknown_placeholders(text):
            found.append(unknown_text(unknown))
            text = fill(text, dict.fromkeys(unknown, "0"))
        query = parse_query(text, condition)
    except ValueError as error:
        return [*found, str(error)], None
    except RecursionError:
        return [*found, _TOO_DEEP], None
    if query.locks_rows:
        found.append(
            "locks rows (FOR UPDATE or the like), which a read-only transaction refuses; "
            "leave that out"
        )
    return found, query


def _of_columns(query: ManifestQuery, *, advanced_metadata: bool) -> Iterator[str]:
    names = [name for name in query.output_columns or () if name]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        yield f"import_query: selects {', '.join(repeated)} more than once"
    stamps = stamp_names(advanced_metadata=advanced_metadata)
    if taken := [name for name in names if name.lower() in stamps]:
        yield (
            f"import_query: selects {', '.join(taken)}, a name that the tap gives to a column of "
            "its own; give it another name"
        )
