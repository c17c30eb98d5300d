"""Fixtures that every test in the project can use."""

# Imported before pytest collects, since a folder that is called as the package in it would hide it.
pytest_plugins = ["sandbox.testing", "reconcile", "orchestrate"]
