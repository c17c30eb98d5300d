"""The loader, stopped by SIGSTOP at the end of a transaction: whoever started it sends SIGCONT."""

from __future__ import annotations

import enum
import itertools
import os
import signal
from typing import TYPE_CHECKING

from snowflake_loader.leases import Lease
from snowflake_loader.target import TargetSnowflake

if TYPE_CHECKING:
    from snowflake_loader.warehouse import Session

VARIABLE = "RELIABILITY_FREEZE"  # `<moment>:<n>`: stop there in the nth transaction


class Moment(enum.StrEnum):
    """What the transaction holds when the process stops."""

    ROWS = "rows"  # the lease is looked at after the thaw
    LEASE = "lease"  # only COMMIT is left


def _freeze(moment: Moment, number: int) -> None:
    fence, numbers = Lease.fence, itertools.count(1)

    def frozen_fence(lease: Lease, session: Session, seat: int) -> None:
        is_it = next(numbers) == number
        if is_it and moment is Moment.ROWS:
            os.kill(os.getpid(), signal.SIGSTOP)
        fence(lease, session, seat)
        if is_it and moment is Moment.LEASE:
            os.kill(os.getpid(), signal.SIGSTOP)

    Lease.fence = frozen_fence  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    chosen, _, place = os.environ[VARIABLE].partition(":")
    _freeze(Moment(chosen), int(place))
    TargetSnowflake.cli()
