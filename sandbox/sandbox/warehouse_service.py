"""Starting and stopping the warehouse's process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import settings
from sandbox.http_service import HttpService

if TYPE_CHECKING:
    from pathlib import Path


class WarehouseService(HttpService):
    """The warehouse as a background process."""

    def __init__(self, config: settings.Settings) -> None:
        super().__init__(
            "warehouse",
            config,
            folder=config.warehouse_folder,
            port=config.warehouse_port,
            port_variable=settings.WAREHOUSE_PORT_VARIABLE,
        )

    @property
    def config(self) -> dict[str, Any]:
        """Settings for `snowflake.connector.connect`, but for the schema."""
        return {
            "account": settings.WAREHOUSE_ACCOUNT,
            "user": settings.WAREHOUSE_USER,
            "password": settings.PASSWORD,
            "host": settings.HOST,
            "port": self.port,
            "protocol": "http",
            "database": settings.WAREHOUSE_DATABASE,
        }

    @property
    def query_log(self) -> Path:
        return self.folder / "queries.jsonl"

    @property
    def keys_folder(self) -> Path:
        """Where public keys for key-pair logins go, as `<user>.pub`."""
        return self.folder / "keys"
