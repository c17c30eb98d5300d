"""Singer tap for Xactly Incent, by SELECT statements."""
