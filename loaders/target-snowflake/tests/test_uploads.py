"""Files go up from whatever folder they lie in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from snowflake_loader.testing import Load, record, schema

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.testing import Warehouse


@pytest.mark.parametrize(
    "folder",
    ["two words", "[x]", "a*b?c", "it's", "100%20", "Zürich 数据", "back\\slash", "a#b;c&d"],
)
def test_a_work_folder_may_have_any_name(
    warehouse: Warehouse, load: Load, tmp_path: Path, folder: str
) -> None:
    """PUT takes a path as it is, but for the wildcards that the connector looks for in it."""
    load([schema(), record(id=1, name="a")], work_directory=str(tmp_path / folder))

    rows = warehouse.query(f'SELECT ID, NAME FROM "{warehouse.schema}".ITEMS')
    assert rows == [{"ID": 1, "NAME": "a"}]


def test_a_tilde_is_the_home_folder(
    warehouse: Warehouse, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    load([schema(), record(id=1)], work_directory="~/work")

    assert (tmp_path / "home" / "work").is_dir()
    assert not (tmp_path / "~").exists()
    assert len(warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS')) == 1
