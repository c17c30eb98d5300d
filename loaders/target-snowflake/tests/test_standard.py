"""The SDK's own suite for targets, against the warehouse stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import get_target_test_class

from snowflake_loader.target import TargetSnowflake

if TYPE_CHECKING:
    from sandbox.testing import Warehouse

# The suite makes a target when it is collected; every test then runs with the warehouse's own.
PLACEHOLDER = {"account": "a", "user": "u", "password": "p", "database": "d", "schema": "s"}

# Without parse_env_config the suite would set all of the project's .env in this process.
StandardSuite: Any = get_target_test_class(
    target_class=TargetSnowflake, config=PLACEHOLDER, parse_env_config=False
)


class TestTargetSnowflake(StandardSuite):  # type: ignore[misc]  # the SDK makes it at run time
    """Each of the SDK's message files, loaded into a fresh schema."""

    @pytest.fixture(autouse=True)
    def _in_the_warehouse(self, warehouse: Warehouse, runner: Any) -> None:
        runner.config.update(warehouse.config)
