"""Files that a killed loader leaves, on disk and in the stage, are removed or never read again."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from reliability.targets import small_targets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reliability.matrix import Result
    from sandbox.testing import Warehouse

TARGETS = {target.label: target for target in small_targets()}
STAGE = re.compile(r"_LOADER_[0-9A-F]{32}")


def test_files_of_a_killed_loader_are_removed_or_never_read_again(
    kill: Callable[..., Result], warehouse: Warehouse, tmp_path: Path
) -> None:
    """What was uploaded lies in a temporary stage, which Snowflake drops with its session."""
    result = kill(TARGETS["counting: append-only, no key (records)"], "file uploaded")

    assert result.is_good, result
    assert list(tmp_path.glob("*/work")) != []
    assert list(tmp_path.glob("*/work/*")) == []
    sessions, made = defaultdict(set), []
    for line in warehouse.service.query_log.read_text(encoding="utf-8").splitlines():
        statement = json.loads(line)
        for stage in STAGE.findall(statement["sql"]):
            sessions[stage].add(statement["session"])
        if re.match(r"CREATE\b.*\bSTAGE\b", statement["sql"]):
            made.append(statement["sql"])
    assert made
    assert all(sql.startswith("CREATE TEMPORARY STAGE") for sql in made)
    assert all(len(users) == 1 for users in sessions.values())
