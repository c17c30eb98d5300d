"""The Singer SDK's standard tap suite, which wants a vendor before there are fixtures."""

from __future__ import annotations

import atexit

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.adaptive import LOGIN, PASSWORD, Adaptive
from sandbox.vendors.server import serve
from tap_adaptive.tap import TapAdaptive

serving = serve(Adaptive(8))
url = serving.__enter__()
atexit.register(serving.__exit__, None, None, None)

TestTapAdaptive = get_tap_test_class(
    TapAdaptive,
    config={
        "api_url": url,
        "login": LOGIN,
        "password": PASSWORD,
        "account_codes": ["4000", "6100"],
        "dimensions": ["Product"],
    },
    parse_env_config=False,
)
