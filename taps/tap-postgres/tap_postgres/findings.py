"""What the text of a manifest's entry shows to be wrong with it: all of it, not the first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tap_postgres.placeholders import fill
from tap_postgres.query import check_condition, parse_query
from tap_postgres.stamps import stamp_names
from tap_postgres.tokens import unknown_placeholders, unknown_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_postgres.query import ManifestQuery

_TOO_DEEP = "is nested too deeply, or has too many conditions, to be looked at; shorten it"


def findings(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an entry's condition, query and key; each begins with the key.

    What is missing or of another type is not looked at: pydantic says that.
    """
    texts = {name: value for name, value in entry.items() if isinstance(value, str)}
    condition = texts.get("additional_filtering", "")
    if condition.strip():
        wrong = _of_condition(condition)
        yield from (f"additional_filtering: {finding}" for finding in wrong)
        condition = "" if wrong else condition
    key = key_names(texts.get("export_table_primary_key", ""))
    if "export_table_primary_key" in texts and entry.get("incremental_type") and not key:
        yield "export_table_primary_key: load_by_id needs one"
    if "import_query" in texts:
        wrong, query = _of_query(texts["import_query"], condition)
        yield from (f"import_query: {finding}" for finding in wrong)
        if query is not None:
            stamped = entry.get("advanced_metadata") is True
            yield from _of_columns(query, key, advanced_metadata=stamped)


def key_names(text: str) -> tuple[str, ...]:
    """The columns of an export_table_primary_key, which separates several by commas."""
    names = (name.strip() for name in text.split(","))
    return tuple(name for name in names if name)


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


def _of_columns(
    query: ManifestQuery, key: tuple[str, ...], *, advanced_metadata: bool
) -> Iterator[str]:
    columns = query.output_columns
    names = [name for name in columns or () if name]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        yield f"import_query: selects {', '.join(repeated)} more than once"
    stamps = stamp_names(advanced_metadata=advanced_metadata)
    if taken := [name for name in names if name.lower() in stamps]:
        yield (
            f"import_query: selects {', '.join(taken)}, a name that the tap gives to a column of "
            "its own; give it another name"
        )
    missing = [name for name in key if name not in names]
    if missing and columns is not None and None not in columns:
        yield (
            f"export_table_primary_key: names {', '.join(missing)}, which import_query does "
            "not select"
        )
