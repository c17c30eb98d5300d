"""Singer tap for ZenGRC."""
