"""The columns of each stream, as the fact sheet lists them."""
