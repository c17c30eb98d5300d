"""How streams and columns are called in Snowflake.

Every name is folded to upper case and made of letters, digits and underscores, so that an
analyst can write it without quotes; the loader itself always quotes, so reserved words are safe.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from snowflake_loader.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterable

STAGING = "_STAGING_"  # begin the names of the loader's helper tables
PENDING = "_PENDING_"
LOADS = "_LOADS"
REJECTED = "_REJECTED"
LEASES = "_LEASES"
STATES = "_STATES"
MAX_LENGTH = 255  # characters, Snowflake's limit for an identifier
HELPER_PREFIX_ROOM = 48  # characters left free for the names of staging and pending tables
DIGEST_LENGTH = 8  # hexadecimal digits of the original name's hash


def quote(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as a SQL string literal that Snowflake reads back unchanged."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def fold(name: str) -> str:
    """Return the Snowflake name for one stream, table or column.

    Spaces, dots and other punctuation become underscores, a leading digit gets an underscore
    before it, and a name that would be too long is cut and given a hash of the whole.
    """
    upper = unicodedata.normalize("NFC", name).upper()
    folded = re.sub(r"\W", "_", upper) or "_"
    if folded[0].isdigit():
        folded = f"_{folded}"
    if len(folded) > MAX_LENGTH - HELPER_PREFIX_ROOM:
        cut = MAX_LENGTH - HELPER_PREFIX_ROOM - DIGEST_LENGTH - 1
        return f"{folded[:cut]}_{_digest(name)}"
    return folded


def fold_all(names: Iterable[str]) -> dict[str, str]:
    """Return the Snowflake name of each column, every one different.

    Where several names fold to one, the first in code-point order of the swapped case (`id`
    before `Id` before `ID`) keeps it, and each of the others gets a hash of its own spelling,
    so the outcome does not depend on the order in which the source lists its columns.
    """
    names = list(names)
    taken: dict[str, str] = {}
    for name in sorted(names, key=str.swapcase):
        folded = fold(name)
        if folded in taken:
            folded = f"{folded}_{_digest(name)}"
        taken[folded] = name
    folded_of = {name: folded for folded, name in taken.items()}
    return {name: folded_of[name] for name in names}


def table_name(stream: str, *, whole: bool) -> str:
    """Return the table of a stream.

    By the SDK's convention the table is what follows the last hyphen of a stream's name
    (`public-users` loads USERS), unless the `whole` name is asked for.
    """
    return fold(stream if whole else stream.rpartition("-")[2])


def refuse_reserved(table: str, stream: str) -> None:
    """Raise LoadError for a table that would be one of the loader's own."""
    if table in {LOADS, REJECTED, LEASES, STATES} or table.startswith((STAGING, PENDING)):
        raise LoadError(
            f"Stream {stream} would load table {table}, a name that the loader keeps for its own "
            "tables; give it another `table` in the setting `streams`."
        )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:DIGEST_LENGTH].upper()
