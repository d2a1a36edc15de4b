"""A real database per test, on SQLite and on PostgreSQL, brought up by the migrations."""

from tests.storage.made import database, database_url, empty_url, migrated_file, store

__all__ = ["database", "database_url", "empty_url", "migrated_file", "store"]
