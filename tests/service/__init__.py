"""A package, so that its conftest.py does not stand for that of all tests."""
