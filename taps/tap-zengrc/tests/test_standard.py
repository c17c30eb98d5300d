"""The Singer SDK's standard tap suite, which wants a server before there are fixtures.

Without scores of risks: the suite demands of a property with several types that each value has all
of them. `test_sync.py` looks at those.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.server import serve
from sandbox.vendors.zengrc import PASSWORD, USERNAME, ZenGRC
from tap_zengrc.tap import TapZenGRC

vendor = ZenGRC(size=20)
for risk in vendor.objects["risks"]:
    risk["risk_vector_score_values"] = None
servers = ExitStack()
url = servers.enter_context(serve(vendor))
atexit.register(servers.close)

TestTapZenGRC = get_tap_test_class(
    TapZenGRC,
    config={"username": USERNAME, "password": PASSWORD, "base_url": f"{url}/api/v2"},
    parse_env_config=False,
)
