"""DuckDB over a folder of database files, in the shape fakesnow's server expects."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import fakesnow.server
from fakesnow import info_schema, macros
from fakesnow.instance import FakeSnow
from fakesnow.transforms import show, stage

from sandbox.settings import WAREHOUSE_DATABASE
from sandbox.warehouse import rewrite
from sandbox.warehouse.session import Session

if TYPE_CHECKING:
    from pathlib import Path

KEPT_RESULTS = 20
KEPT_ROWS = 10_000


class RecentResults(dict[str, Any]):
    """The results RESULT_SCAN can reach: a few small ones, where fakesnow keeps all for ever."""

    def __setitem__(self, query_id: str, result: tuple[Any, ...]) -> None:
        if result[0].num_rows > KEPT_ROWS:
            return
        super().__setitem__(query_id, result)
        if len(self) > KEPT_RESULTS:
            del self[next(iter(self))]


class Engine(FakeSnow):  # type: ignore[misc] # fakesnow is untyped
    """One DuckDB over a folder: each `<DATABASE>.db` in it is a database.

    Unlike fakesnow's own, a login makes neither database nor schema.
    """

    def __init__(self, folder: Path, memory_limit: str) -> None:
        databases = folder / "databases"
        databases.mkdir(parents=True, exist_ok=True)
        super().__init__(False, False, databases)  # noqa: FBT003 - fakesnow's own order
        self.results_cache = RecentResults()
        self._limit_memory(folder, memory_limit)
        self._move_stages(folder / "stages")
        self._attach(folder)

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: object,
    ) -> Session:
        return Session(
            self.duck_conn.cursor(),
            self.results_cache,
            database,
            schema,
            create_database=False,
            create_schema=False,
            db_path=self.db_path,
            nop_regexes=nop_regexes,
            **kwargs,
        )

    def close(self) -> None:
        """End every session and write everything to the database files."""
        for session in fakesnow.server.sessions.values():
            session.end()
        fakesnow.server.sessions.clear()
        self.duck_conn.close()

    def _limit_memory(self, folder: Path, memory_limit: str) -> None:
        spill = folder / "spill"
        for setting, value in {
            "memory_limit": f"'{memory_limit}'",
            "temp_directory": f"'{spill}'",
            # Choosing a compression costs more than half of a COPY's time, and buys only disk.
            "force_compression": "'zstd'",
        }.items():
            self.duck_conn.execute(f"SET GLOBAL {setting} = {value}")

    def _move_stages(self, folder: Path) -> None:
        # Stages live no longer than their sessions, so what an earlier process left is rubbish.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        stage.LOCAL_BUCKET_PATH = str(folder.resolve())

    def _attach(self, folder: Path) -> None:
        # Text lengths of columns live in fakesnow's global database: on disk, or a restart would
        # forget them.
        self.duck_conn.execute("DETACH _fs_global")
        self.duck_conn.execute(f"ATTACH '{folder / 'global.duckdb'}' AS _fs_global")
        self.duck_conn.execute(info_schema.fs_global_creation_sql())
        self.duck_conn.execute(show.fs_global_creation_sql())
        self.duck_conn.execute("DELETE FROM _fs_global._fs_information_schema._fs_stages")
        names = {path.stem for path in (folder / "databases").glob("*.db")}
        for name in sorted(names | {WAREHOUSE_DATABASE}):
            file = folder / "databases" / f"{name}.db"
            self.duck_conn.execute(f"ATTACH '{file}' AS \"{name}\"")
            self.duck_conn.execute(info_schema.per_db_creation_sql(name))
            self.duck_conn.execute(macros.creation_sql(name))
        rewrite.drop_temporary_tables(self.duck_conn)
