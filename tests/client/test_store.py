"""Stores on disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from impl.client import FileStore, store
from impl.client.store import MemoryStore, Section


def test_what_was_put_is_there_for_the_next_client(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store"
    with FileStore(path) as first:
        first.put("a", {"b": [1, "ü"]})
        first.put("c", 1)
        first.put("c", 2)
        first.remove("a")
        first.remove("unknown")
        assert first.load() == {"c": 2}
    with FileStore(path) as second:
        assert second.load() == {"c": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with FileStore(path) as open_store:
        open_store.put("a", 1)
        copy = tmp_path / "copy"
        copy.write_bytes(path.read_bytes())
    with FileStore(copy) as other:
        assert other.load() == {"a": 1}


@pytest.mark.parametrize(
    "rubbish", [b"", b'["b", ', b"\xff\xfe\n", b"[]\n", b'{"a": 1}\n', b'[1, 2]\n["b"]\n']
)
def test_what_was_cut_off_is_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "store"
    path.write_bytes(b'["a",1]\n' + rubbish)
    with FileStore(path) as opened:
        assert opened.load() == {"a": 1}
        opened.put("b", 2)
    with FileStore(path) as again:
        assert again.load() == {"a": 1, "b": 2}


def test_two_clients_cannot_use_one_file(tmp_path: Path) -> None:
    other = FileStore(tmp_path / "store")
    with FileStore(tmp_path / "store"), pytest.raises(OSError, match="another client uses it"):
        other.__enter__()
    with FileStore(tmp_path / "store"):
        pass


def test_the_file_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_WASTE", 10)
    with FileStore(tmp_path / "store") as opened:
        for number in range(1000):
            opened.put("a", number)
        assert len((tmp_path / "store").read_bytes()) < 500
        assert opened.load() == {"a": 999}


def test_a_section_knows_nothing_of_the_others() -> None:
    whole = MemoryStore()
    one, other = Section(whole, "1/"), Section(whole, "2/")
    one.put("a", 1)
    other.put("a", 2)
    assert (one.load(), whole.load()) == ({"a": 1}, {"1/a": 1, "2/a": 2})
    one.clear()
    assert whole.load() == {"2/a": 2}
