"""Alembic's entry point: runs on the connection that `upgrade` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from curation_db.storage.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite needs a rebuilt table for most changes of its columns
)
with context.begin_transaction():
    context.run_migrations()
