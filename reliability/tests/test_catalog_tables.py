"""tap-postgres with tables of the catalog, merged by key: a kill and a re-run bring them whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reliability.targets import catalog_targets
from sandbox import seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from reliability.matrix import Result
    from reliability.targets import Target
    from sandbox.postgres import Connection

ROWS = 200  # of the largest table


@pytest.fixture
def targets(postgres_database: Connection) -> dict[str, Target]:
    """Those of the matrix, by their labels, on a database of the test's own."""
    with postgres_database.connect() as connection:
        seed.seed(connection, "gitlab_ops", ROWS)
    variables = {
        "GITLAB_OPS_DB_HOST": postgres_database.host,
        "GITLAB_OPS_DB_NAME": postgres_database.database,
        "GITLAB_OPS_DB_USER": postgres_database.user,
        "GITLAB_OPS_DB_PASS": postgres_database.password,
        "PG_PORT": str(postgres_database.port),
    }
    return {target.label: target for target in catalog_targets(variables)}


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("tap-postgres: FULL_TABLE (records)", marks=pytest.mark.slow),
        "tap-postgres: FULL_TABLE (batches)",
        "tap-postgres: INCREMENTAL (records)",
        pytest.param("tap-postgres: INCREMENTAL (batches)", marks=pytest.mark.slow),
    ],
)
def test_no_kill_loses_or_doubles_a_row(
    targets: dict[str, Target], kill: Callable[..., Result], label: str
) -> None:
    result = kill(targets[label], "committed")

    assert result.is_good, result
