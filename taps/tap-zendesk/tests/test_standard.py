"""The Singer SDK's standard tap suite, which wants a vendor before there are fixtures.

Four tickets, since the fifth has a rating that is a text and no object, and no values of custom
fields: the suite demands of a property with several types that each value has all of them.
`test_sync.py` looks at those.
"""

from __future__ import annotations

import atexit
import time
from contextlib import ExitStack

from singer_sdk.testing import get_tap_test_class

from sandbox.vendors.server import serve
from sandbox.vendors.zendesk import Zendesk
from tap_zendesk.tap import TapZendesk

FAST = 1_000_000

stack = ExitStack()
zendesk = Zendesk(4, FAST, FAST)
url = stack.enter_context(serve(zendesk))
atexit.register(stack.close)

zendesk.now = lambda: time.time() - 10_000
for number in range(1, 5):
    nothing = [{"id": 9001, "value": None}]
    zendesk.tenants["tributary"].account.update(number, custom_fields=nothing, fields=nothing)

zendesk.now = time.time

access = zendesk.tenants["tributary"].access
config = {
    "subdomain": "tributary",
    "api_url": f"{url}/{{subdomain}}",
    "access_token": access.issue("read", None, refreshable=False).access,
    "rate_limit_share": 1.0,
    "export_requests_per_minute": FAST,
}
catalog = TapZendesk(config=config).catalog_dict
for entry in catalog["streams"]:
    for metadata in entry["metadata"]:
        metadata["metadata"]["selected"] = True

TestTapZendesk = get_tap_test_class(
    TapZendesk,
    config=config,
    catalog=catalog,
    parse_env_config=False,
)
