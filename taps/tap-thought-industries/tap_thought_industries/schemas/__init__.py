"""The streams' JSON Schemas, one file each."""
