"""Alembic's scripts. `HEAD` is known without importing Alembic, which costs a third of a second."""

HEAD = "0006"
