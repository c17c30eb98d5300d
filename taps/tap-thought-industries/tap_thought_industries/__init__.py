"""Singer tap for Thought Industries' events and objects, by day."""
