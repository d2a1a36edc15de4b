"""A real database per test, as in `tests/storage`."""

from tests.storage.made import database, database_url, migrated_file, store

__all__ = ["database", "database_url", "migrated_file", "store"]
