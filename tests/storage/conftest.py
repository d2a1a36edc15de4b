"""A real SQLite file per test, brought up by the migrations."""

from tests.storage.made import database, database_url, migrated_file, store

__all__ = ["database", "database_url", "migrated_file", "store"]
