"""Promises that hold for every plugin, so that READMEs and plugin files cannot drift."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from singer_sdk.tap_base import Tap

from snowflake_loader.target import TargetSnowflake

if TYPE_CHECKING:
    from singer_sdk.plugin_base import PluginBase

ROOT = Path(__file__).parent.parent
OF_THE_SDK = ("stream_map", "faker_config", "flattening_", "batch_config")
TAPS = sorted(path.name for path in (ROOT / "taps").glob("tap-*"))
PLUGINS = [*TAPS, "target-snowflake"]
KINDS = {  # of JSON Schema, and of Meltano
    "number": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}


def plugin_class(name: str) -> type[PluginBase]:
    if name == "target-snowflake":
        return TargetSnowflake
    module = import_module(f"{name.replace('-', '_')}.tap")
    own = (c for c in vars(module).values() if getattr(c, "__module__", "") == module.__name__)
    return next(c for c in own if isinstance(c, type) and issubclass(c, Tap))


def settings(name: str) -> dict[str, Any]:
    found = plugin_class(name).config_jsonschema["properties"]
    return {k: v for k, v in found.items() if not k.startswith(OF_THE_SDK)}


def meltano_plugins() -> dict[str, dict[str, Any]]:
    plugins: dict[str, dict[str, Any]] = {}
    for path in (ROOT / "plugins").glob("*.meltano.yml"):
        content = yaml.safe_load(path.read_text())["plugins"]
        for plugin in [*content.get("extractors", []), *content.get("loaders", [])]:
            plugins[plugin["name"]] = plugin
    return plugins


def folder(name: str) -> Path:
    return ROOT / ("taps" if name in TAPS else "loaders") / name


@pytest.mark.parametrize("name", PLUGINS)
def test_readme_explains_every_setting(name: str) -> None:
    """A setting nobody can read about is a setting nobody can use."""
    readme = (folder(name) / "README.md").read_text()

    assert {setting for setting in settings(name) if f"`{setting}`" not in readme} == set()


@pytest.mark.parametrize("name", PLUGINS)
def test_meltano_offers_exactly_the_plugins_settings(name: str) -> None:
    """Meltano and the plugin must agree on what can be configured, and on what is secret."""
    offered = {s["name"]: s for s in meltano_plugins()[name]["settings"]}

    secret = {n for n, definition in settings(name).items() if definition.get("secret")}
    assert {n for n in offered if not n.startswith(OF_THE_SDK)} == set(settings(name))
    assert {n for n, setting in offered.items() if setting.get("sensitive")} == secret


@pytest.mark.parametrize("name", PLUGINS)
def test_meltano_knows_what_is_no_text(name: str) -> None:
    """What comes from an environment variable is a text, unless Meltano knows the kind.

    Its kind `decimal` cannot be written as JSON, so a number with a point is taken as text.
    """
    kinds = {s["name"]: s.get("kind") for s in meltano_plugins()[name]["settings"]}

    wrong = {
        (setting, kinds[setting])
        for setting, definition in settings(name).items()
        for type_, kind in KINDS.items()
        if type_ in definition["type"]
        and kinds[setting] != kind
        and "string" not in definition["type"]
    }
    assert wrong == set()


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").glob("*.meltano.yml")))
def test_every_job_has_a_schedule(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    scheduled = {schedule["job"] for schedule in content.get("schedules", [])}

    assert {job["name"] for job in content.get("jobs", [])} == scheduled


def test_every_source_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [name for name in TAPS if f"taps/{name}/README.md" not in readme] == []


def test_the_lock_names_no_index() -> None:
    """Versions and hashes only, so that it installs from any index or mirror."""
    for lock in ROOT.glob("**/requirements*.lock"):
        if not any(part.startswith(".venv") for part in lock.parts):
            assert "://" not in lock.read_text(), lock
