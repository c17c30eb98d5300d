"""The columns that the tap adds to every row of a manifest's table (postgres_pipeline.md, 3)."""

from __future__ import annotations

UPLOADED_AT, TASK_INSTANCE = "_uploaded_at", "_task_instance"


def stamp_names(*, advanced_metadata: bool) -> tuple[str, ...]:
    """Their names; the second one only where the manifest asks for it."""
    return (UPLOADED_AT, TASK_INSTANCE) if advanced_metadata else (UPLOADED_AT,)
