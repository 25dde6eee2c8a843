from __future__ import annotations

from collections import Counter

from codegen.runtime.streams.ownership import assigned
from codegen.runtime.streams.partitions import PartitionKeys, partition_of


def test_every_instance_gets_a_fair_share_and_keeps_it_when_another_comes() -> None:
    partitions = [f"owners/jobs/count/{n}" for n in range(400)]
    two = {p: assigned(["a", "b"], p) for p in partitions}
    three = {p: assigned(["c", "a", "b"], p) for p in partitions}
    assert all(three[p] in (two[p], "c") for p in partitions)
    assert all(100 <= share <= 170 for share in Counter(three.values()).values())


def test_the_partition_of_a_key_never_changes() -> None:
    assert [partition_of(key, 16) for key in ("", "dm.1.2", "größe", "x" * 1000)] == [0, 5, 9, 6]


def test_keys_of_a_partition_share_its_tag() -> None:
    keys = PartitionKeys("jobs", 3)
    names = [keys.stream, keys.dead, keys.counters, keys.generation, keys.owner("count")]
    assert names == [
        "{p3}:jobs",
        "{p3}:jobs:dead",
        "{p3}:jobs:counters",
        "{p3}:generation",
        "{p3}:jobs:owner:count",
    ]
