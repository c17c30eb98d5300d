"""The lists behind the INTERNAL_ keys, and that no outside row passes."""

from __future__ import annotations

import functools
import http.server
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tap_postgres.seeds import FILES, internal_values
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Source

CONTENTS = {
    "internal_gitlab_projects.csv": "project_id,project_path\n10,ours/b\n9,ours/it's\n10,ours/b\n",
    "internal_gitlab_namespaces.csv": "namespace_id,namespace_path\n3,ours\n",
    "projects_part_of_product.csv": "project_id\n200\n",
    "projects_part_of_product_ops.csv": "project_id\n\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_each_key_is_a_list(folder: Path) -> None:
    """Once each, numbers by their size, quotes doubled, from every file with that column."""
    assert internal_values(str(folder)) == {
        "INTERNAL_NAMESPACE_IDS": "(3)",
        "INTERNAL_PROJECT_IDS": "(9, 10, 200)",
        "INTERNAL_PROJECT_PATHS": "('ours/b', 'ours/it''s')",
        "INTERNAL_NAMESPACE_PATHS": "('ours')",
        "INTERNAL_PATHS": "('ours', 'ours/b', 'ours/it''s')",
    }


def test_an_empty_list_lets_nothing_pass(folder: Path) -> None:
    (folder / "internal_gitlab_namespaces.csv").write_text("namespace_id,namespace_path\n")

    assert internal_values(str(folder))["INTERNAL_NAMESPACE_IDS"] == "(NULL)"


def test_from_a_web_server(folder: Path) -> None:
    """A URL does as well as a path."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = internal_values(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()

    assert found == internal_values(str(folder))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (FILES[0], "project_id,project_path\n10,a\nten,b\n", "line 3: project_id is not a whole"),
        (FILES[0], "project_id,project_path\n1) OR (1=1,b\n", "line 2: project_id is not a whole"),
        (FILES[1], "namespace_id\n3\n", "has a column namespace_path"),
        (
            FILES[0],
            f"project_id,project_path\n{'1' * 5000},b\n",
            "project_id is not a whole number",
        ),
        (FILES[0], "project_id\n1,2\n", "line 2 has more fields than the first line"),
        (FILES[0], f"project_path\n{'x' * 200_000}\n", "line 2: field larger than field limit"),
        (FILES[1], "namespace_path\n\xe9\n", "is not UTF-8 at byte 16. Save"),
        (FILES[2], None, f"Reading the seed file .*{FILES[2]} failed"),
    ],
)
def test_files_that_cannot_be_used(folder: Path, name: str, content: str | None, said: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, encoding="latin-1")

    with pytest.raises(TapError, match=said):
        internal_values(str(folder))


class Refusing(http.server.BaseHTTPRequestHandler):
    """A web server that is in trouble."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_HEAD = do_GET  # noqa: N815 - the library's name


def test_a_web_server_in_trouble_and_an_unknown_protocol() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TapError, match=r"Reading the seed file http://.* failed: .*500"):
            internal_values(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    with pytest.raises(
        TapError, match=r"failed: Protocol not known: nothing\. Correct the setting"
    ):
        internal_values("nothing://seeds")


@pytest.mark.parametrize("password", ["hush", "hu/sh", "hu@sh"])
def test_a_log_in_in_the_url_is_not_shown(password: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TapError, match=r"Reading the seed file http://127\.0\.0\.1:") as caught:
            internal_values(f"http://reader:{password}@127.0.0.1:{server.server_port}/seeds")
        server.shutdown()
    assert password not in str(caught.value)
    assert "reader" not in str(caught.value)


def test_no_outside_row_passes(source: Source, folder: Path, lane: str) -> None:
    """In an increment as in a full sync, whatever else the query says."""
    source.execute(
        "CREATE TABLE builds (id int PRIMARY KEY, project_id int, at timestamptz DEFAULT now())",
        "INSERT INTO builds SELECT i, i % 40 FROM generate_series(1, 400) i",
        "INSERT INTO builds VALUES (500, NULL)",
    )
    where = "WHERE at BETWEEN '{BEGIN_TIMESTAMP}' AND '{END_TIMESTAMP}' OR id < 20"
    entry = {
        "import_db": "OPS",
        "export_schema": "S",
        "export_table": "builds_internal_only",
        "export_table_primary_key": "id",
        "additional_filtering": "AND project_id IN {INTERNAL_PROJECT_IDS}",
        "import_query": f"SELECT id, project_id FROM builds {where}",
    }
    path = folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": {"builds_internal_only": entry}}))
    settings: dict[str, Any] = {"manifests": [str(path)], "internal_seeds": str(folder)}

    whole = source.sync(lane, **settings)
    source.execute("UPDATE builds SET at = now()")
    increment = source.sync(lane, state=whole.state, **settings)

    for result in (whole, increment):
        rows = source.rows(lane, result, "ops_builds_internal_only")
        assert {row["project_id"] for row in rows} == {9, 10}
        assert len(rows) == 20
    with pytest.raises(TapError, match="Set internal_seeds"):
        source.sync(lane, manifests=[str(path)])
