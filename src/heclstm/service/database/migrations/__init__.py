"""Steps from one release's tables to the next one's, in the form that alembic reads."""
