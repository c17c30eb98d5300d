"""The Singer SDK's standard tap suite, which wants a server before there are fixtures."""

from __future__ import annotations

import atexit

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.server import serve
from sandbox.vendors.xactly import CLIENT_ID, CONSUMER, PASSWORD, USERNAME, Xactly
from tap_xactly.tap import TapXactly

server = serve(Xactly(20))
url = server.__enter__()
atexit.register(server.__exit__, None, None, None)

TestTapXactly = get_tap_test_class(
    TapXactly,
    config={
        "api_url": f"{url}/api",
        "username": USERNAME,
        "password": PASSWORD,
        "client_id": CLIENT_ID,
        "consumer": CONSUMER,
    },
    parse_env_config=False,
)
