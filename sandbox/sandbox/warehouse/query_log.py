"""Every statement the warehouse was sent, one JSON object a line, as QUERY_HISTORY would tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.warehouse.session import Session

_SECRET = re.compile(r"\b\w*(?:password|secret|token|_key)\w*\s*=\s*'([^']+)'", re.IGNORECASE)


class QueryLog:
    """Appends to `queries.jsonl`.

    Each line has `session`, `user`, `database`, `schema`, `sql`, `ok` and, for a statement that
    failed, `error`. Literals given to PASSWORD, SECRET, TOKEN and the like are blanked.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def add(self, session: Session, sql: str, error: str | None) -> None:
        line: dict[str, Any] = {
            "session": session.id,
            "user": session.user,
            "database": session.database,
            "schema": session.schema,
            "sql": sql,
            "ok": error is None,
        }
        if error:
            line["error"] = error
        for secret in _SECRET.findall(sql):  # errors quote the statement, so blank it in both
            line |= {k: line[k].replace(secret, "***") for k in ("sql", "error") if k in line}
        self._file.write(json.dumps(line) + "\n")
