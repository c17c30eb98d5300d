"""JSON Schemas of the streams, one file each."""
