from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import create_engine
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable
from sqlmodel import SQLModel

import impl.storage.tables  # noqa: F401 - fills the metadata
from codegen.runtime.errors import Error
from impl.storage.migration import downgrade, migrate


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return found


def test_upgraded_tables_are_those_of_the_code(tmp_path: Path) -> None:
    migrate(f"sqlite+aiosqlite:///{tmp_path / 'db'}")
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_a_database_goes_up_and_down_and_up_again(tmp_path: Path, url: str) -> None:
    migrate(url)
    assert "messages" in tables(tmp_path / "idiom.sqlite3")
    downgrade(url, "base")
    assert tables(tmp_path / "idiom.sqlite3") <= {"alembic_version"}
    migrate(url)
    assert "messages" in tables(tmp_path / "idiom.sqlite3")


def test_migrating_again_changes_nothing(tmp_path: Path, url: str) -> None:
    migrate(url)
    before = tables(tmp_path / "idiom.sqlite3")
    migrate(url)
    assert tables(tmp_path / "idiom.sqlite3") == before


def test_many_may_migrate_at_once(tmp_path: Path, url: str) -> None:
    program = "import sys; from impl.storage.migration import migrate; migrate(sys.argv[1])"

    def run(_: int) -> int:
        return subprocess.run([sys.executable, "-c", program, url], check=False, timeout=60).returncode

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [0, 0, 0]
    assert "messages" in tables(tmp_path / "idiom.sqlite3")


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        "sqlite+aiosqlite:////nowhere/at/all/db",
        "sqlite+nodriver:///db",
        "mysql+nodriver://user:secret@host/db",
    ],
)
def test_a_database_that_cannot_be_migrated_is_one_sentence_without_secrets(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Error) as caught:
        migrate(bad)
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(Error, match="file is not a database"):
        migrate(f"sqlite+aiosqlite:///{tmp_path / 'db'}")


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, url: str) -> None:
    migrate(url)
    with sqlite3.connect(tmp_path / "idiom.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Error, match="newer version"):
        migrate(url)


def test_tables_can_be_written_for_mysql() -> None:
    texts = [
        str(CreateTable(table).compile(dialect=mysql.dialect())) for table in SQLModel.metadata.sorted_tables
    ]
    assert any("MEDIUMBLOB" in text and "BIGINT" in text and "utf8mb4_bin" in text for text in texts)
