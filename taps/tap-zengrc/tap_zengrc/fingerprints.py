"""Which records the last run found, in a few characters each.

ZenGRC cannot be asked for what changed, and nobody knows whether `updated_at` moves when a link or
a custom attribute does ("zengrc.md", section 7). So the whole content of a record is compared, by a
hash. With 48 bits and 50,000 records, one change in 5 billion is taken for a record already known.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

BYTES = 6
CHARACTERS = 8  # of base64 for so many bytes, without padding

_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Fingerprints:
    """Tells which records were found by the last run, and remembers those of this one.

    Args:
        remembered: What `text` gave at the end of the last run; empty when nothing is known.
        limit: Records to remember; the others are new to every run.
    """

    def __init__(self, remembered: str, limit: int) -> None:
        starts = range(0, len(remembered), CHARACTERS)
        self._last = {remembered[start : start + CHARACTERS] for start in starts}
        self._found: set[str] = set()
        self._limit = limit
        self.left_out = 0

    def knows(self, record: dict[str, Any]) -> bool:
        """Whether the last run found the same record; from now on this run has found it."""
        fingerprint = fingerprint_of(record)
        if fingerprint in self._found or len(self._found) < self._limit:
            self._found.add(fingerprint)
        else:
            self.left_out += 1
        return fingerprint in self._last

    @property
    def text(self) -> str:
        """What to keep for the next run; the same in whatever order the records came."""
        return "".join(sorted(self._found))


def fingerprint_of(record: dict[str, Any]) -> str:
    """Return `CHARACTERS` characters that depend on every key and value, and not on their order."""
    digest = hashlib.blake2b(_encoder.encode(record), digest_size=BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()
