"""JSON Schemas of the streams, one file each, columns in the vendor's order."""
