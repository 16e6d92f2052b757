"""Plugins of the whole suite; fixtures and helpers live in tests/conftest.py."""

pytest_plugins = ["tests.notebooks.budget"]
