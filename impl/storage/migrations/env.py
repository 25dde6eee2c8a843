"""Run by Alembic with the connection of `impl.storage.migration`."""

from alembic import context
from sqlmodel import SQLModel

import impl.storage.tables  # noqa: F401 - importing it is what fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
