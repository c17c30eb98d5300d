"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandbox import settings
from sandbox.testing import Warehouse
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def impatient_warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse of the test's own that gives up idle transactions at once."""
    service = WarehouseService(
        replace(
            settings.load(),
            folder=tmp_path,
            warehouse_port=settings.free_port(),
            idle_transaction_seconds=0.2,
        )
    )
    service.start()
    yield Warehouse(service.config | {"schema": "S"}, service)
    service.stop()
