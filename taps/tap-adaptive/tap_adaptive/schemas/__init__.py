"""The streams' JSON Schemas."""
