"""What became of every session: rows in one SQLite file, acknowledged once they are committed."""
