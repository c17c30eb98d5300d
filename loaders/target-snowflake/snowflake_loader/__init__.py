"""The Snowflake loader: Singer messages in, one transaction per commit out."""
