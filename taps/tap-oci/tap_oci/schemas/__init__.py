"""The columns that each stream always has, as JSON Schema."""
