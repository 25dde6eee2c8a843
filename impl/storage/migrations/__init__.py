"""Alembic's environment: one revision per change of the tables, each expand or contract, never both."""
