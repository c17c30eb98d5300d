"""The arrow lane: files go up as they are, or are mended, or are refused with a sentence."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowflake_loader.batches import Checked, Requirements, check, json_lines, local_path
from snowflake_loader.errors import LoadError
from snowflake_loader.files import WorkDirectory
from snowflake_loader.schema import SchemaMessage, StreamSchema, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROPERTIES = {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}}
FREE = Requirements(frozenset(), unique_keys=False)
KEYED = Requirements(frozenset({"ID"}), unique_keys=True)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[WorkDirectory]:
    directory = WorkDirectory(str(tmp_path))
    yield directory
    directory.remove()


def stream_schema(properties: dict[str, Any] | None = None) -> StreamSchema:
    return read_schema(
        SchemaMessage("items", {"properties": properties or PROPERTIES}, ["id"]), all_varchar=False
    )


def written(directory: WorkDirectory, **columns: Any) -> Path:
    path = directory.new_file()
    pq.write_table(pa.table(columns), path)
    return path


def rows(checked: Checked) -> list[dict[str, Any]]:
    return pq.read_table(checked.file.path).to_pylist()


def test_a_file_in_order_goes_up_as_it_is(directory: WorkDirectory) -> None:
    path = written(directory, id=[1, 2], name=["a", None])

    checked = check(path, stream_schema(), KEYED, directory)

    assert checked.file.path == path
    assert checked.file.rows == 2


@given(keys=st.lists(st.integers(0, 20), min_size=1, max_size=60))
@settings(deadline=None, max_examples=30)
def test_an_upsert_gets_the_last_row_of_each_key(
    keys: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Snowflake keeps no order of rows in a file, so only one of each key may go up."""
    directory = WorkDirectory(str(tmp_path_factory.mktemp("work")))
    path = written(directory, id=keys, name=[str(position) for position in range(len(keys))])

    checked = check(path, stream_schema(), KEYED, directory)

    last = {key: str(position) for position, key in enumerate(keys)}
    found = {
        row.get("ID", row.get("id")): row.get("NAME", row.get("name")) for row in rows(checked)
    }
    assert found == last
    assert checked.file.rows == len(last)


def test_rows_without_a_key_or_with_nan_are_set_aside(directory: WorkDirectory) -> None:
    schema = stream_schema({"id": {"type": "integer"}, "x": {"type": "number"}})
    path = written(directory, id=[1, None, 3], x=[1.5, 2.5, float("nan")])

    checked = check(path, schema, KEYED, directory)

    assert rows(checked) == [{"ID": 1, "X": 1.5}]
    assert [bad.reason for bad in checked.rejected] == [
        "key id is missing or null",
        "x is NaN or infinite, which is no JSON number",
    ]


def test_a_file_of_bad_rows_alone_has_none_to_load(directory: WorkDirectory) -> None:
    path = written(directory, id=pa.array([None, None], pa.int64()), name=["a", "b"])

    checked = check(path, stream_schema(), KEYED, directory)

    assert rows(checked) == []
    assert len(checked.rejected) == 2


@pytest.mark.parametrize("kind", ["text", "dictionary", "bytes"])
def test_text_too_long_for_snowflake_is_set_aside(directory: WorkDirectory, kind: str) -> None:
    text = pa.array(["x" * 16_777_217, "y"])
    name = {"text": text, "dictionary": text.dictionary_encode(), "bytes": text.cast(pa.binary())}
    path = written(directory, id=[1, 2], name=name[kind])

    checked = check(path, stream_schema(), FREE, directory)

    assert rows(checked) == [{"ID": 2, "NAME": "y"}]
    assert "16,777,216" in checked.rejected[0].reason


@pytest.mark.parametrize(
    ("name", "folded"), [("first name", "FIRST_NAME"), ("straße", "STRASSE"), ("été", "ÉTÉ")]
)
def test_columns_that_fold_to_other_names_are_renamed_in_the_file(
    directory: WorkDirectory, name: str, folded: str
) -> None:
    """COPY matches by name; a name that matches nothing would load NULLs with success."""
    schema = stream_schema({"id": {"type": "integer"}, name: {"type": "string"}})
    path = written(directory, **{"id": [1], name: ["a"]})

    checked = check(path, schema, FREE, directory)

    assert rows(checked) == [{"ID": 1, folded: "a"}]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"id": [1]}, "it lacks name"),
        ({"id": [1], "name": ["a"], "more": [1]}, "it has more, which the schema lacks"),
        ({"id": ["1"], "name": ["a"]}, r"id is string but should be NUMBER\(38,0\)"),
        ({"identifier": [1], "title": ["a"]}, "it lacks id"),
    ],
)
def test_a_file_of_another_schema_is_refused(
    directory: WorkDirectory, columns: dict[str, Any], problem: str
) -> None:
    with pytest.raises(LoadError, match=problem):
        check(written(directory, **columns), stream_schema(), FREE, directory)


def test_a_file_that_was_cut_is_refused(directory: WorkDirectory) -> None:
    path = written(directory, id=[1, 2], name=["a", "b"])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(LoadError, match="not a whole Parquet file"):
        check(path, stream_schema(), FREE, directory)


@pytest.mark.parametrize("requirements", [FREE, KEYED])
def test_a_file_whose_pages_are_damaged_is_refused(
    directory: WorkDirectory, requirements: Requirements
) -> None:
    path = directory.new_file()
    numbers = list(range(50_000, 0, -1))
    table = pa.table({"id": numbers, "name": pa.array(numbers).cast(pa.string()).cast(pa.binary())})
    pq.write_table(table, path, compression="zstd")
    content = bytearray(path.read_bytes())
    for place in range(100, len(content) // 2, 7):
        content[place] ^= 0x5A
    path.write_bytes(bytes(content))

    with pytest.raises(LoadError, match="cannot be read to its end"):
        check(path, stream_schema(), requirements, directory)


def test_bytes_that_are_no_text_are_refused(directory: WorkDirectory) -> None:
    path = written(directory, id=[1], name=[b"\xff\xfe"])

    with pytest.raises(LoadError, match="Invalid UTF8"):
        check(path, stream_schema(), FREE, directory)


def test_a_column_that_stands_twice_is_refused(directory: WorkDirectory) -> None:
    path = directory.new_file()
    columns = [pa.array([1]), pa.array([2]), pa.array(["a"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "id", "name"]), path)

    with pytest.raises(LoadError, match="a column stands in it twice"):
        check(path, stream_schema(), FREE, directory)


def test_a_missing_file_is_named(directory: WorkDirectory) -> None:
    with pytest.raises(LoadError, match=r"nowhere\.parquet is missing"):
        local_path("file:///nowhere.parquet", directory)
    with pytest.raises(LoadError, match=r"nowhere\.jsonl is missing"):
        list(json_lines("file:///nowhere.jsonl"))


def test_json_lines_are_read_plain_and_gzipped_and_a_cut_file_is_refused(tmp_path: Path) -> None:
    plain, packed, cut = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"))
    plain.write_bytes(b'{"id": 1}\n\n{"id": 2}\n')
    packed.write_bytes(gzip.compress(b'{"id": 3}\n'))
    cut.write_bytes(gzip.compress(b'{"id": 4}\n' * 1000)[:-12])

    assert list(json_lines(plain.as_uri())) == [b'{"id": 1}', b'{"id": 2}']
    assert list(json_lines(packed.as_uri())) == [b'{"id": 3}']
    with pytest.raises(LoadError, match="cannot be read to its end"):
        list(json_lines(cut.as_uri()))
    damaged = bytearray(gzip.compress(b'{"id": 5}\n' * 1000))
    damaged[15:25] = b"\xff" * 10
    cut.write_bytes(damaged)
    with pytest.raises(LoadError, match="cannot be read to its end"):
        list(json_lines(cut.as_uri()))
    with pytest.raises(LoadError, match="cannot be opened: Protocol not known: s3x"):
        list(json_lines("s3x://bucket/a.jsonl"))
    assert not plain.exists()


def test_folders_of_dead_processes_are_removed_and_those_of_living_ones_are_not(
    tmp_path: Path,
) -> None:
    dead = tmp_path / "target-snowflake-999999999-x"
    dead.mkdir()
    living = WorkDirectory(str(tmp_path))

    WorkDirectory(str(tmp_path)).remove()

    assert not dead.exists()
    assert living.path.exists()
