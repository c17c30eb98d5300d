"""The Singer SDK's standard tap suite, which wants a server before there are fixtures."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from pathlib import Path

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.oci_reports import FINGERPRINT, OCI, TENANCY, USER, write_key
from sandbox.vendors.server import serve
from tap_oci.tap import TapOCI

vendor = OCI(size=10, days=3)
vendor.add_usage(0)
open_until_exit = ExitStack()
atexit.register(open_until_exit.close)
url = open_until_exit.enter_context(serve(vendor))
folder = open_until_exit.enter_context(tempfile.TemporaryDirectory(prefix="tap-oci-"))
key_file = Path(folder) / "key.pem"
write_key(key_file)

TestTapOCI = get_tap_test_class(
    TapOCI,
    config={
        "tenancy": TENANCY,
        "user": USER,
        "fingerprint": FINGERPRINT,
        "key_file": str(key_file),
        "service_endpoint": url,
    },
    parse_env_config=False,
)
