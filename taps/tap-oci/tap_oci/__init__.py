"""Singer tap for Oracle Cloud's cost, usage and FOCUS reports."""
