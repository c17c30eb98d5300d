"""The lists behind the INTERNAL_ keys, from CSV files (postgres_pipeline.md, section 1).

The fact sheet names the files and the columns but not which file feeds which key. So a key takes
its column from every file that has it.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import fsspec

from tap_postgres import sql
from tap_postgres.placeholders import INTERNAL
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES = (
    "internal_gitlab_projects.csv",
    "internal_gitlab_namespaces.csv",
    "projects_part_of_product.csv",
    "projects_part_of_product_ops.csv",
)
_COLUMNS = {
    "INTERNAL_NAMESPACE_IDS": ("namespace_id",),
    "INTERNAL_PROJECT_IDS": ("project_id",),
    "INTERNAL_PROJECT_PATHS": ("project_path",),
    "INTERNAL_NAMESPACE_PATHS": ("namespace_path",),
    "INTERNAL_PATHS": ("namespace_path", "project_path"),
}
_NONE = "(NULL)"  # equal to nothing, so that no row passes
_MAX_DIGITS = 19  # of PostgreSQL's bigint
_ADVICE = "Correct the setting internal_seeds."


def internal_values(folder: str) -> dict[str, str]:
    """Return each internal key's value: a parenthesised SQL list, without repetitions.

    Args:
        folder: Path or URL of the folder with the four files.

    Raises:
        TapError: a file cannot be read or is no CSV, no file has a column, or an id is not a whole
            number.
    """
    columns: dict[str, set[str]] = {}
    shown = _without_login(folder)
    for name in FILES:
        path = f"{shown.rstrip('/')}/{name}"
        content = _read(f"{folder.rstrip('/')}/{name}", path)
        reader = csv.DictReader(io.StringIO(_text(path, content)))
        try:
            _collect(path, reader, columns)
        except csv.Error as error:
            line = reader.reader.line_num
            raise TapError(f"{path}, line {line}: {error}. Correct the file.") from error
    return {key: _list(shown, key, columns) for key in INTERNAL}


def _without_login(url: str) -> str:
    """The URL without the user and password before its host, whatever characters those have."""
    protocol, mark, place = url.partition("://")
    return f"{protocol}{mark}{place.rpartition('@')[2]}" if mark else url


def _collect(path: str, reader: csv.DictReader[str], columns: dict[str, set[str]]) -> None:
    for row in reader:
        if None in row:
            raise TapError(
                f"{path}, line {reader.line_num} has more fields than the first line. "
                "Correct the file."
            )
        for column, value in row.items():
            if value:
                _check_id(path, reader.line_num, column, value)
                columns.setdefault(column, set()).add(value)
    for column in reader.fieldnames or ():
        columns.setdefault(column, set())


def _read(path: str, shown: str) -> bytes:
    """Read a file; an error calls it `shown`, and names no log-in that stands in its URL."""
    from aiohttp import ClientError  # noqa: PLC0415 - takes a while, and few manifests need it

    try:
        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    # A ValueError is about a protocol or URL, a ClientError about a web server's answer.
    except (OSError, ImportError, ValueError, ClientError) as error:
        reason = str(error.__cause__ or error).replace(path, shown).rstrip(".")
        raise TapError(f"Reading the seed file {shown} failed: {reason}. {_ADVICE}") from None


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TapError(
            f"{path} is not UTF-8 at byte {error.start + 1}. Save the file as UTF-8."
        ) from error


def _check_id(path: str, line: int, column: str, value: str) -> None:
    is_number = value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
    if column.endswith("_id") and not is_number:
        raise TapError(f"{path}, line {line}: {column} is not a whole number. Correct the file.")


def _list(folder: str, key: str, columns: dict[str, set[str]]) -> str:
    if missing := [column for column in _COLUMNS[key] if column not in columns]:
        raise TapError(
            f"No seed file in {folder} has a column {', '.join(missing)}, which {{{key}}} needs. "
            f"{_ADVICE}"
        )
    values = set().union(*(columns[column] for column in _COLUMNS[key]))
    return _sql_list(key, values)


def _sql_list(key: str, values: Iterable[str]) -> str:
    if key.endswith("_IDS"):
        items = [str(number) for number in sorted({int(value) for value in values})]
    else:
        items = [sql.literal(value) for value in sorted(values)]
    return f"({', '.join(items)})" if items else _NONE
