"""Settings as Meltano hands them on, and options as people write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tapsupport.errors import TapError
from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from singer_sdk import Stream


class TapPlanks(ManneredTap):
    name = "tap-planks"
    config_jsonschema = th.PropertiesList(
        th.Property("share", th.NumberType, default=0.5),
        th.Property("wood", th.StringType),
    ).to_dict()

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return []


def test_a_number_may_come_as_text() -> None:
    """Meltano has only text for a fraction in an environment variable."""
    tap = TapPlanks(config={"share": "0.25", "wood": "12"})

    assert tap.config["share"] == 0.25
    assert tap.config["wood"] == "12"


def test_text_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigValidationError) as error:
        TapPlanks(config={"share": "a quarter"})

    assert ["share" in found for found in error.value.errors] == [True]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoding": {"format": "parquet"}}, "no storage.root"),
        ({"encoding": {"format": "parquet"}, "storage": {}}, "no storage.root"),
        ({"storage": {"root": "/tmp"}}, "no encoding.format"),  # noqa: S108 - nothing is written
        ({"storage": {"root": "/tmp"}, "encoding": None}, "no encoding.format"),  # noqa: S108
    ],
)
def test_half_a_batch_config_is_a_sentence(given: dict[str, Any], said: str) -> None:
    """In discovery too, where the SDK refuses no setting."""
    with pytest.raises(TapError, match=f"batch_config has {said}"):
        TapPlanks(config={"batch_config": given})
    with pytest.raises(TapError, match=f"batch_config has {said}"):
        TapPlanks(config={"batch_config": given}, validate_config=False)


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize("content", ['{"a": ', "5", '"text"', "[1]", b"\xff", "", None, "[" * 9999])
def test_a_file_that_is_no_json_is_a_sentence(
    tmp_path: Path, option: str, content: str | bytes | None
) -> None:
    path = tmp_path / "given.json"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    done = CliRunner().invoke(TapPlanks.get_singer_command(), [option, str(path)])

    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output
    assert "given.json" in done.output


@pytest.mark.parametrize("option", ["--state", "--catalog"])
def test_an_empty_list_is_no_state(tmp_path: Path, option: str) -> None:
    (tmp_path / "given.json").write_text("[]")
    words = [option, str(tmp_path / "given.json")]

    assert CliRunner().invoke(TapPlanks.get_singer_command(), words).exit_code == 2


def test_settings_come_from_several_files_the_last_wins(tmp_path: Path) -> None:
    for number, settings in enumerate(({"wood": "oak", "share": 1}, {"wood": "ash"})):
        (tmp_path / f"{number}.json").write_text(json.dumps(settings))
    words = [word for number in "01" for word in ("--config", str(tmp_path / f"{number}.json"))]

    context = TapPlanks.get_singer_command().make_context("tap-planks", words)

    assert context.params["config"].config == {"wood": "ash", "share": 1}
