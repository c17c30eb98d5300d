"""Amounts as Kubernetes writes them: 500m, 2Gi."""

from __future__ import annotations

import re
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

GIBIBYTE = 1024**3
# The client reads more than the API server takes, such as 1_0Gi. An exponent of three digits is an
# amount, too, but one that would fill memory when written out.
QUANTITY = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,2})?", re.ASCII
)


def parse(text: str) -> Decimal | None:
    """The number; None where Kubernetes would see none."""
    if not QUANTITY.fullmatch(text):
        return None
    return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]  # the client leaves it out


def gibibytes(quantity: str) -> Decimal:
    """How many GiB a quantity is."""
    return (parse(quantity) or Decimal()) / GIBIBYTE
