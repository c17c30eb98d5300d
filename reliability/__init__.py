"""Kills pipelines at every boundary and compares what is left with undisturbed runs."""
