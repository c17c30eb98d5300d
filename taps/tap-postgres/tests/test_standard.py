"""The Singer SDK's standard tap suite, which wants a database before there are fixtures.

Without variant columns: the suite demands of a property with several types that each value has all
of them. `test_types.py` looks at those.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from singer_sdk.testing import get_tap_test_class

from sandbox.postgres import Postgres
from sandbox.settings import free_port
from tap_postgres.tap import TapPostgres

folder = Path(tempfile.mkdtemp(prefix="tap-postgres-"))
server = Postgres(folder, free_port())
server.start()
atexit.register(shutil.rmtree, folder)
atexit.register(server.stop)

database = server.create_database("standard")
with database.connect() as connection:
    connection.execute(
        "CREATE TABLE boats (id int PRIMARY KEY, name text NOT NULL, length numeric(6,2),"
        " speed float8, active bool, launched date, seen_at timestamptz);"
        "INSERT INTO boats SELECT i, 'boat ' || i, i / 7.0, i / 3.0, i % 2 = 0,"
        " date '2024-01-01' + i, now()"
        " FROM generate_series(1, 20) i;"
        "CREATE VIEW berths AS SELECT id, name FROM boats"
    )

TestTapPostgres = get_tap_test_class(
    TapPostgres,
    config={
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.database,
    },
    parse_env_config=False,
)
