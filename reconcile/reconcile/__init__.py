"""Compares tables in Snowflake with their source, by hashes that both databases compute."""
