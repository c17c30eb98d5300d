"""Singer tap for Workday Adaptive Planning's exports, and the reports of each shared version."""
