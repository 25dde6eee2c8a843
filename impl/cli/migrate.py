"""`idiom migrate`: the database gets this version's tables."""

from __future__ import annotations

from codegen.runtime.errors import Error
from impl.cli.refusal import Refusal
from impl.settings import Settings
from impl.storage.migration import migrate


def migrate_database(settings: Settings) -> None:
    """Migrates the database of the settings.

    Raises:
        Refusal: it cannot be migrated.
    """
    try:
        if not settings.database_url:
            settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        migrate(settings.effective_database_url)
    except OSError as error:
        raise Refusal(f"cannot write to {settings.data_dir} (IDIOM_DATA_DIR): {error.strerror}") from error
    except Error as error:
        raise Refusal(error.message) from error
