"""Where to open a socket."""

from __future__ import annotations

import itertools

from im.errors.v1.reason_errors import NO_CONNECTION_GATEWAY
from im.logic.v1.connection_service_pb2 import GetConnectionRequest, GetConnectionResponse

from codegen.runtime.context import Context
from codegen.runtime.discovery import Instances
from codegen.runtime.errors import Error


class ConnectionDirectory:
    """Implements im.logic.v1.ConnectionService: live connection gateways in turn.

    Args:
        instances: of the connection gateway.
        public_url: given out instead of a gateway's own address, if any gateway lives.
    """

    def __init__(self, instances: Instances, public_url: str = "") -> None:
        self._instances = instances
        self._public_url = public_url
        self._turns = itertools.count()

    async def get_connection(
        self, _request: GetConnectionRequest, _context: Context
    ) -> GetConnectionResponse:
        """An address of a live gateway."""
        urls = [url for instance in self._instances.all() if (url := instance.attributes.get("url"))]
        if not urls:
            raise Error(NO_CONNECTION_GATEWAY, "no connection gateway is available now", retry_after=1.0)
        return GetConnectionResponse(url=self._public_url or urls[next(self._turns) % len(urls)])
