"""`python -m sandbox.vendors`: serve every vendor until SIGTERM."""

import uvicorn

from sandbox.settings import HOST, load
from sandbox.vendors.oci_reports import write_key
from sandbox.vendors.server import all_vendors

settings = load()
write_key(settings.vendors_folder / "oci_key.pem")
uvicorn.run(
    all_vendors(),
    host=HOST,
    port=settings.vendors_port,
    log_level="warning",
    proxy_headers=False,  # it would stand between a stand-in and uvicorn's connection
    timeout_graceful_shutdown=3,
)
