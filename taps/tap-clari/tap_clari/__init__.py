"""Singer tap for Clari's forecast exports, by fiscal quarter."""
