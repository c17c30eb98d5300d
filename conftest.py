"""Fixtures that every test in the project can use."""

pytest_plugins = ["sandbox.testing"]
