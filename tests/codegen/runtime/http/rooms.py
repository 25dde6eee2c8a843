"""The gallery behind a dispatcher in the same process, called without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.local import Local
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.service import Gallery
from tests.codegen.runtime.http.request import Client

PAINTING = "/v1/rooms/a/paintings/1"
KEY = b"k" * 32


@dataclass(frozen=True, slots=True)
class Rooms:
    """A client, and what it reaches."""

    client: Client
    gallery: Gallery
    app: FastAPI

    def hang(self, **fields: Any) -> Any:
        """Puts a painting where `PAINTING` is."""
        made = self.gallery.pb.Painting(**{"name": "rooms/a/paintings/1", "etag": "v1", **fields})
        self.gallery.paintings[made.name] = made
        return made


def rooms(settings: HttpSettings | None = None) -> Rooms:
    """An app with the gallery's routes and nothing else."""
    gallery = Gallery()
    dispatch = Dispatch(
        generated().routes,
        registry=generated().descriptors.registry(),
        pipeline=Pipeline(Authenticator(UserTokens(KEY, 3600), None), max_request_bytes=100_000),
        channel=Local([(generated().rpc.GALLERY_SERVICE, gallery)]),
        settings=settings or HttpSettings(),
    )
    app = FastAPI(redirect_slashes=False)
    mount(app, dispatch, {})
    return Rooms(Client(app), gallery, app)
