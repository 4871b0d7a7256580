"""Alembic's environment: it runs on the connection that chartloop.migrate hands over."""

from __future__ import annotations

from alembic import context

from chartloop.migrate import all_tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=all_tables(), transactional_ddl=True, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
