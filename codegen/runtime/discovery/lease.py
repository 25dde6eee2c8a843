"""A lease that comes back."""

from __future__ import annotations


class Lease:
    """A lease kept alive by an owned task.

    When it was lost (an outage longer than its life, an etcd that came back empty) a new one is made and
    `generation` increments; what was put under the old one is gone and has to be put again.
    """

    seconds: int
    generation: int
    """Increments with every new lease; the first is 1."""
    id: int
    """Present id in etcd."""

    async def renewed(self) -> None:
        """Wait until a new lease was made."""
        raise NotImplementedError
