"""What goes wrong ends in a sentence, a non-zero exit code and no secret."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tapsupport.errors import TapError
from tapsupport.parquet import QUEUED_BATCHES
from tapsupport.testing import parse_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Source

SECRET = "pa ss/w%rd'@\\"


@pytest.fixture
def logins(source: Source) -> Source:
    """A table, and a user with a password that is awkward in URIs and who may read it."""
    source.execute(
        "CREATE TABLE boats (id int PRIMARY KEY, name text)",
        "INSERT INTO boats SELECT i, repeat('x', 100) FROM generate_series(1, 50000) i",
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN PASSWORD 'pa ss/w%rd''@\\'",
    )
    return source


def fails(source: Source, lane: str = "records", **settings: Any) -> str:
    """The error's text, and that neither password shows in anything the process said."""
    done, _ = source.run(lane, **settings)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, output
    assert "Traceback" not in output
    for secret in (SECRET, "pa%20ss", source.connection.password + "@"):
        assert secret not in output
    return output.strip().splitlines()[-1]


def test_a_login_with_an_awkward_password(logins: Source) -> None:
    """Quotes, spaces and slashes in it are no trouble."""
    logins.execute("GRANT SELECT ON boats TO reader")

    assert len(logins.sync(user="reader", password=SECRET).records("public-boats")) == 50_000


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"user": "reader", "password": SECRET + "!"}, "Check the settings user and password."),
        ({"database": "nowhere"}, 'database "nowhere" does not exist. Check the setting database.'),
        ({"port": 1}, "Check the settings host and port"),
        ({"host": "nowhere.invalid"}, "Check the settings host and port"),
        ({"sslmode": "require"}, "Check the settings sslmode and sslrootcert."),
        ({"user": ""}, "Connecting needs the setting user."),
        ({"tables": ["public.ships"]}, "has no table public.ships."),
        ({"stream_maps": {"public-boats": {}}}, "no stream_maps"),
    ],
)
def test_settings_that_cannot_work(logins: Source, settings: dict[str, Any], sentence: str) -> None:
    """The sentence names the setting to look at."""
    assert sentence in fails(logins, **settings)


def test_a_password_of_the_wrong_type_is_not_quoted(logins: Source) -> None:
    """The SDK's own message would show it."""
    done, _ = logins.run("records", password=987654321)

    assert done.returncode == 1
    assert b"The setting password is not valid" in done.stderr
    assert b"987654321" not in done.stdout + done.stderr


def test_batch_settings_that_cannot_work(logins: Source) -> None:
    """Only Parquet files in a local directory."""
    encodings = {"format": "jsonl", "compression": "gzip"}
    storage = {"root": "/tmp"}  # noqa: S108 - refused before anything is written

    with pytest.raises(TapError, match=r"writes parquet"):
        logins.sync(batch_config={"encoding": encodings, "storage": storage})
    with pytest.raises(TapError, match=r"local directory"):
        logins.sync(
            batch_config={"encoding": {"format": "parquet"}, "storage": {"root": "s3://bucket"}}
        )


def test_tables_without_the_privilege_are_left_out(
    logins: Source, caplog: pytest.LogCaptureFixture
) -> None:
    """One log line names them; a privilege on some columns gives those columns."""
    logins.execute("CREATE TABLE secrets (id int)", "GRANT SELECT (id) ON boats TO reader")

    catalog = logins.catalog(user="reader", password=SECRET)

    (boats,) = catalog["streams"]
    assert list(boats["schema"]["properties"]) == ["id"]
    assert "Left out, for want of the SELECT or USAGE privilege: public.secrets." in caplog.text


@contextmanager
def waiting_tap(source: Source, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A tap that waits for a lock on boats, which is released at the end."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with source.connection.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE boats")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not source.query(waiting)[0][0]:
            assert process.poll() is None
        yield process


def selected(source: Source, **settings: Any) -> dict[str, Any]:
    catalog = source.catalog(**settings)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    return catalog


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DROP TABLE boats", "The catalog selects public-boats, but the database has no such"),
        ("REVOKE SELECT ON boats FROM reader", "user may not read it"),
        ("ALTER TABLE boats DROP name", "public.boats has no column name"),
        ("ALTER TABLE boats ALTER name TYPE int USING 1", "column name: the catalog says"),
    ],
)
def test_changes_since_discovery(logins: Source, lane: str, change: str, sentence: str) -> None:
    """A catalog that no longer holds is not read as if it did."""
    logins.execute("GRANT SELECT ON boats TO reader")
    login: dict[str, Any] = {"user": "reader", "password": SECRET}
    catalog = selected(logins, **login)
    logins.execute(change)

    with pytest.raises(TapError, match=sentence):
        logins.sync(lane, catalog=catalog, **login)


def test_a_column_that_a_manifest_still_names(logins: Source) -> None:
    """Discovery would find the same; the manifest must change."""
    manifest = logins.folder / "manifest.yml"
    manifest.write_text(
        "tables: {boats: {import_db: a, export_schema: b, export_table: boats,"
        " export_table_primary_key: id, import_query: 'SELECT id, sails FROM boats'}}"
    )

    with pytest.raises(TapError, match='column "sails" does not exist') as caught:
        logins.sync(manifests=[str(manifest)], load_type="scd")
    assert "A column was dropped or renamed: take it out of the manifest's" in str(caught.value)


@pytest.mark.parametrize("option", ["--discover", "--test"])
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"password": SECRET + "!"}, "Check the settings user and password."),
        ({"port": "x"}, "port"),
    ],
)
def test_the_same_without_a_run(
    logins: Source, option: str, settings: dict[str, Any], sentence: str
) -> None:
    """Meltano discovers before every run."""
    login = {"user": "reader", "password": SECRET, **settings}
    command = logins.command("records", option, **login)
    done = subprocess.run(command, capture_output=True, check=False)

    said = done.stderr.decode()
    assert done.returncode == 1
    assert sentence in said.strip().splitlines()[-1]
    assert "Traceback" not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DROP TABLE zebras", 'relation "public.zebras" does not exist. It was dropped'),
        ("ALTER TABLE zebras DROP name", 'column "name" does not exist. A column was dropped'),
        ("REVOKE SELECT ON zebras FROM reader", "Grant it to user reader"),
    ],
)
def test_changes_while_it_runs(logins: Source, lane: str, change: str, sentence: str) -> None:
    """The same between the tap's own discovery and its reading of the table."""
    logins.execute(
        "CREATE TABLE zebras (id int PRIMARY KEY, name text)",
        "GRANT SELECT ON boats, zebras TO reader",
    )
    login: dict[str, Any] = {"user": "reader", "password": SECRET, "max_parallel": 1}
    with waiting_tap(logins, logins.command(lane, **login)) as process:
        logins.execute(change)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 1
    assert sentence in errors.decode().strip().splitlines()[-1]


def test_a_statement_that_takes_too_long(logins: Source, lane: str) -> None:
    """The sentence names the table and the setting."""
    logins.execute("CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(5)::text AS nap")

    said = fails(logins, lane, statement_timeout_seconds=1)

    assert "Reading public.slow failed: canceling statement due to statement timeout" in said
    assert "Raise statement_timeout_seconds" in said


def test_a_connection_that_is_lost(logins: Source, lane: str) -> None:
    """The next run resumes; this one says so."""
    logins.execute(
        "CREATE VIEW cut AS SELECT id, CASE WHEN id = 40000 THEN"
        " pg_terminate_backend(pg_backend_pid())::text END AS gone FROM boats ORDER BY id"
    )

    said = fails(logins, lane)

    assert "Reading public.cut failed. The connection to" in said
    assert "Run again" in said


def test_sigterm_reaches_a_query_that_waits(logins: Source, lane: str) -> None:
    """A lock that is never released does not keep the tap from ending."""
    with waiting_tap(logins, logins.command(lane, tables=["public.boats"])) as process:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)

    assert process.returncode == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM" in errors.decode()
    assert "cancel" not in errors.decode()  # as if somebody else had done it
    assert len(parse_messages(output).of_type("ACTIVATE_VERSION")) == 1


def test_a_reader_that_goes_away(logins: Source) -> None:
    """The tap ends with a sentence when nobody reads what it writes."""
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        logins.command("records"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()

    assert process.wait(30) == 1
    assert "its reader has ended" in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors


def test_files_wait_for_the_loader(logins: Source) -> None:
    """Of some 50 files few exist at once; a loader that dies ends the tap with a sentence."""
    command = logins.command("arrow", max_pending_files=2, range_rows=1000, batch_file_bytes=100)
    written_ahead = QUEUED_BATCHES + 1  # at most a file for each batch that the writer has
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    seen = 0
    while seen < 6:
        for batch in parse_messages(process.stdout.readline()).batches("public-boats"):
            seen += 1
            assert len(list(batch.parent.glob("*.parquet"))) <= 2 + written_ahead
            batch.unlink()
    process.stdout.close()
    errors = process.stderr.read().decode()

    assert process.wait(30) == 1
    assert "has ended" in errors.strip().splitlines()[-1]


def test_a_disk_that_is_full(logins: Source) -> None:
    """A file that cannot grow, for which a limit on file sizes stands here."""
    limited = ["sh", "-c", 'ulimit -f 4; exec "$@"', "sh", *logins.command("arrow")]
    done = subprocess.run(limited, capture_output=True, check=False, timeout=60)

    assert done.returncode == 1
    last = done.stderr.decode().strip().splitlines()[-1]
    assert "Writing a batch file failed" in last
    assert "root" in last
    assert not list((logins.folder / "batches").rglob("*.parquet*"))


def test_a_root_that_cannot_be_made(logins: Source) -> None:
    """A file stands where a directory should be."""
    (logins.folder / "a file").touch()
    storage = {"root": str(logins.folder / "a file" / "batches")}

    said = fails(logins, batch_config={"encoding": {"format": "parquet"}, "storage": storage})

    assert "a file/batches for batch files failed" in said
