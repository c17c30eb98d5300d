"""Meltano's states in the warehouse, through the backend that Meltano itself makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from meltano.core.error import MeltanoError
from meltano.core.project import Project
from meltano.core.state_store import MeltanoState, state_store_manager_from_project_settings

from snowflake_loader.errors import LoadError
from snowflake_loader.leases import Lease
from snowflake_loader.meltano_run import RunState
from snowflake_loader.target import TargetSnowflake
from snowflake_loader.testing import Load, Messages, record, schema, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meltano.core.state_store import StateStoreManager

    from sandbox.testing import Warehouse

STATE_ID = "dev:tap-a-to-target-snowflake"


@pytest.fixture
def backend(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StateStoreManager]:
    """The backend of a project whose loader is set to the test's warehouse."""
    loader = {
        "name": "target-snowflake",
        "namespace": "target_snowflake",
        "executable": "tributary-target-snowflake",
        "settings": [{"name": name} for name in warehouse.config],
        "config": warehouse.config,
    }
    project = {"plugins": {"loaders": [loader]}, "environments": [{"name": "dev"}]}
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(project))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", f"target-snowflake://{warehouse.schema}")
    monkeypatch.setattr(Project, "_default", None)
    found = Project.find()
    found.activate_environment("dev")
    with state_store_manager_from_project_settings(found.settings) as manager:
        yield manager


def singer(state: MeltanoState | None) -> Any:
    assert state
    assert state.completed_state
    return state.completed_state["singer_state"]


def by_hand(**bookmarks: Any) -> MeltanoState:
    completed = {"singer_state": {"bookmarks": bookmarks}}
    return MeltanoState(STATE_ID, partial_state={}, completed_state=completed)


def run(load: Load, warehouse: Warehouse, number: int) -> Any:
    """Append one row; the state that goes to Meltano."""
    messages: Messages = [schema(keys=[]), record(id=number, name="a"), state(items=number)]
    (printed,) = load(messages, state_id=STATE_ID, state_schema=warehouse.schema)
    return printed


def test_a_state_of_meltanos_comes_back(backend: StateStoreManager) -> None:
    assert backend.get(STATE_ID) is None

    backend.update(by_hand(items=1))

    assert singer(backend.get(STATE_ID))["bookmarks"]["items"] == 1
    assert list(backend.get_state_ids("dev:*")) == [STATE_ID]
    assert list(backend.get_state_ids("prod:*")) == []
    backend.clear(STATE_ID)
    assert backend.get(STATE_ID) is None


def test_the_loaders_state_holds_though_meltano_died_before_writing_it(
    backend: StateStoreManager, load: Load, warehouse: Warehouse
) -> None:
    run(load, warehouse, 1)

    assert singer(backend.get(STATE_ID))["bookmarks"]["items"] == 1


def test_a_late_write_of_an_older_state_changes_nothing(
    backend: StateStoreManager, load: Load, warehouse: Warehouse
) -> None:
    first = run(load, warehouse, 1)
    run(load, warehouse, 2)

    backend.update(MeltanoState(STATE_ID, {}, {"singer_state": first}))

    assert singer(backend.get(STATE_ID))["bookmarks"]["items"] == 2


def test_a_state_set_by_hand_stands_above_what_runs_have_stored(
    backend: StateStoreManager, load: Load, warehouse: Warehouse
) -> None:
    run(load, warehouse, 5)
    shown = singer(backend.get(STATE_ID))
    shown["bookmarks"]["items"] = 3

    backend.update(MeltanoState(STATE_ID, {}, {"singer_state": shown}))
    assert singer(backend.get(STATE_ID))["bookmarks"]["items"] == 3

    run(load, warehouse, 6)
    assert singer(backend.get(STATE_ID))["bookmarks"]["items"] == 6


def test_a_partial_state_is_merged(backend: StateStoreManager) -> None:
    backend.update(by_hand(items=1))

    partial = {"singer_state": {"bookmarks": {"others": 2}}}
    backend.update(MeltanoState(STATE_ID, partial_state=partial, completed_state={}))

    bookmarks = singer(backend.get(STATE_ID))["bookmarks"]
    assert (bookmarks["items"], bookmarks["others"]) == (1, 2)


def test_a_suffix_that_the_loader_cannot_see_is_refused(
    backend: StateStoreManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    with click.Context(click.Command("run"), info_name="run"):
        with pytest.raises(MeltanoError, match="MELTANO_RUN_STATE_ID_SUFFIX"):
            backend.get(f"{STATE_ID}:backfill")
        monkeypatch.setenv("MELTANO_RUN_STATE_ID_SUFFIX", "backfill")
        backend.get(f"{STATE_ID}:backfill")


def test_a_first_run_that_was_started_twice_appends_once(
    backend: StateStoreManager, load: Load, warehouse: Warehouse
) -> None:
    with click.Context(click.Command("run"), info_name="run"):
        given = singer(backend.get(STATE_ID))
    run(load, warehouse, 1)
    echoed = {"bookmarks": given["bookmarks"] | {"items": 1}}
    again: Messages = [schema(keys=[]), record(id=1, name="a"), {"type": "STATE", "value": echoed}]

    with pytest.raises(LoadError, match="read its state while another was still loading"):
        load(again, state_id=STATE_ID, state_schema=warehouse.schema)

    assert warehouse.query(f'SELECT ID FROM "{warehouse.schema}".ITEMS') == [{"ID": 1}]


def test_a_state_in_a_shape_of_its_own(
    backend: StateStoreManager, load: Load, warehouse: Warehouse
) -> None:
    """An older one that is written late changes nothing either."""

    def run_to(number: int) -> Any:
        messages: Messages = [
            schema(keys=[]),
            record(id=number, name="a"),
            {"type": "STATE", "value": {"lsn": number}},
        ]
        (printed,) = load(messages, state_id=STATE_ID, state_schema=warehouse.schema)
        return printed

    first = run_to(1)
    run_to(2)
    backend.update(MeltanoState(STATE_ID, {}, {"singer_state": first}))

    assert singer(backend.get(STATE_ID))["lsn"] == 2


def test_a_state_is_not_changed_while_a_run_loads_it(
    backend: StateStoreManager, warehouse: Warehouse
) -> None:
    config = TargetSnowflake.with_defaults(warehouse.config)
    lease = Lease(config, RunState(STATE_ID, warehouse.schema), "run x")
    try:
        lease.wait()
        with pytest.raises(MeltanoError, match="cannot be changed while run x is loading it"):
            backend.update(by_hand(items=1))
        with pytest.raises(MeltanoError, match="cannot be changed"):
            backend.clear(STATE_ID)
    finally:
        lease.release()
    backend.update(by_hand(items=1))


@pytest.mark.usefixtures("backend")
def test_a_uri_without_a_schema_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", "target-snowflake://")

    with pytest.raises(MeltanoError, match="it must be target-snowflake://<schema>"):
        state_store_manager_from_project_settings(Project.find().settings)
