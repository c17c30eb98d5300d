"""Settings as Meltano hands them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tapsupport.process import ManneredTap

if TYPE_CHECKING:
    from collections.abc import Sequence

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
