"""The vendors' stand-ins: one module each, all of them served by one process."""
