"""How moments and lengths of time are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


def moment_text(moment: datetime | None) -> str:
    """Date, hour and minute; nothing for no moment."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def length_text(length: timedelta | None) -> str:
    """Hours, minutes and seconds; nothing for no length."""
    if length is None:
        return ""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
