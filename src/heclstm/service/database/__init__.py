"""What must not be lost: tenants, tokens, key sets, jobs. SQLAlchemy on SQLite or PostgreSQL, in this folder alone."""
