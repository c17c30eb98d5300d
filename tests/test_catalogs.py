"""The discovered catalogs are committed, so that a change of schema shows in review.

After a change that is meant, write them anew:
`CATALOGS=write make test ARGS=tests/test_catalogs.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import seed
from sandbox.settings import POSTGRES_DATABASES
from tap_postgres.tap import TapPostgres

if TYPE_CHECKING:
    from sandbox.postgres import Postgres

CATALOGS = Path(__file__).parent / "catalogs"


def test_tap_postgres_discovers_what_was_reviewed(postgres_server: Postgres) -> None:
    for name in POSTGRES_DATABASES:
        with postgres_server.fresh_database() as database:
            with database.connect() as connection:
                seed.seed(connection, name, 10)
            settings = ("host", "port", "user", "password", "database")
            tap = TapPostgres(config={key: getattr(database, key) for key in settings})
            found = json.loads(tap.catalog_json_text)
        path = CATALOGS / f"tap-postgres.{name}.json"
        if os.environ.get("CATALOGS") == "write":
            path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")

        assert found == json.loads(path.read_text())
