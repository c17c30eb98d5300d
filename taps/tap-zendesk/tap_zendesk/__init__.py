"""Singer tap for Zendesk Support."""
