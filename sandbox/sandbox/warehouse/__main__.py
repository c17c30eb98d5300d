"""`python -m sandbox.warehouse`: serve the warehouse until SIGTERM."""

import logging

import uvicorn

from sandbox.settings import HOST, load
from sandbox.warehouse.app import Warehouse

settings = load()
settings.warehouse_folder.mkdir(parents=True, exist_ok=True)
logging.getLogger("fakesnow.server").setLevel(logging.ERROR)
uvicorn.run(
    Warehouse(settings).app(),
    host=HOST,
    port=settings.warehouse_port,
    log_level="warning",
    proxy_headers=False,  # it would stand between the app and uvicorn's connection
    timeout_graceful_shutdown=3,
)
