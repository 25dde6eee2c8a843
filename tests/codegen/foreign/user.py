"""What somebody writes by hand for the schema in `idl`, names as they come; mypy reads it strictly."""

# ruff: noqa: ARG002  # an implementation may do without its context

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from depot.v1 import depot_consumer, depot_pb2, depot_rpc, depot_stream
from depot.v1.depot_errors import None_ as NO_SHELF
from idiom.v1.runtime_pb2 import Handled

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery

if TYPE_CHECKING:
    # What mypy-protobuf calls messages whose names are keywords.
    From: TypeAlias = depot_pb2._r_from
    Class: TypeAlias = depot_pb2._r_class
    Import: TypeAlias = depot_pb2._r_import
    Parcel: TypeAlias = depot_pb2._r_None


class Depot:
    """Implements the service Import."""

    async def from_(self, request: From, context: Context) -> Class:
        sent: Any = request
        if sent.self == "lost":
            raise Error(NO_SHELF, "there is no such shelf")
        answer: Class = getattr(depot_pb2, "class")()
        setattr(answer, "from", len(getattr(request, "None")))
        setattr(answer, "class", getattr(request, "from"))
        setattr(answer, "import", getattr(getattr(request, "class"), "import"))
        return answer

    async def none(self, request: Import, context: Context) -> depot_pb2.self:
        answer = depot_pb2.self()
        getattr(answer, "None").CopyFrom(getattr(request, "None"))
        return answer

    async def self(self, request: depot_pb2.self, context: Context) -> depot_pb2.self:
        return request


class Keeper:
    """Implements both consumers."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.sorted: list[Delivery[Parcel]] = []
        self.copied: list[Delivery[Parcel]] = []

    async def yield_(self, batch: Sequence[Delivery[Parcel]]) -> Sequence[Handled]:
        self.sorted += batch
        self.arrived.set()
        return [Handled()] * len(batch)

    async def lambda_(self, batch: Sequence[Delivery[Parcel]]) -> Sequence[Handled]:
        self.copied += batch
        self.arrived.set()
        return [Handled()] * len(batch)


async def typed(client: depot_rpc.ImportClient) -> depot_pb2.self:
    """Only for mypy: implementations are what the generated protocols ask for."""
    _depot: depot_rpc.Import = Depot()
    _sorter: depot_consumer.Sorter = Keeper()
    _copier: depot_consumer.Copier = Keeper()
    _partitions: int = depot_stream.NONE.partitions
    return await client.self(depot_pb2.self())
