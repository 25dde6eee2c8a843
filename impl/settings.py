"""The one settings model. Nothing else reads the environment.

Every variable is `IDIOM_<FIELD>`; `idiom up` gives each process of a tier its own values where they differ.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]

_PREFIX = "IDIOM_"
_MAX_PORT = 65535
_SHORTEST_SECRET = 32
_HOUR = 3600
_YEAR = 365 * 24 * _HOUR


class Settings(BaseSettings):
    """Settings of one process."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Where the embedded servers and secrets live.")
    instance: str = Field(
        default="",
        pattern="^[A-Za-z0-9_.-]*$",
        description="Name of this process; empty means `<tier>-1`.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that public ports listen on.")
    internal_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address that internal ports listen on."
    )

    gateway_port: Port = Field(default=8080, description="HTTP port of the gateway.")
    gateway_grpc_port: Port = Field(default=8100, description="gRPC port of the gateway, for clients.")
    connect_port: Port = Field(default=8090, description="WebSocket port of the connection gateway.")
    logic_grpc_port: Port = Field(default=7010, description="gRPC port of logic.")
    connect_grpc_port: Port = Field(default=7030, description="gRPC port of the connection gateway.")
    redis_port: Port = Field(default=6390, description="Port of the embedded Redis server.")
    etcd_port: Port = Field(default=2391, description="Client port of the embedded etcd server.")
    etcd_peer_port: Port = Field(default=2392, description="Peer port of the embedded etcd server.")

    redis_url: str = Field(default="", description="Redis server; empty means the embedded one.")
    etcd_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="`host:port` of etcd members, comma-separated; empty means the embedded one."
    )
    etcd_prefix: str = Field(default="/idiom", pattern="^/.*[^/]$", description="Prefix of all keys in etcd.")
    database_url: str = Field(
        default="",
        description="`mysql+asyncmy://user:password@host/name` or another SQLAlchemy URL; empty means SQLite"
        " in the data directory.",
    )

    public_connect_url: str = Field(
        default="", description="Address of the socket given to clients; empty means the instance's own."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins whose pages may call the gateway, comma-separated: `https://app.example.org`;"
        " `*` means any.",
    )
    access_token_seconds: float = Field(
        default=900.0, gt=0, le=_YEAR, allow_inf_nan=False, description="Life of an access token."
    )
    refresh_token_seconds: float = Field(
        default=2592000.0,
        gt=0,
        le=10 * _YEAR,
        allow_inf_nan=False,
        description="Life of a refresh token; each exchange begins another.",
    )
    user_secret: str = Field(default="", description="Signs access tokens; empty means `secrets/user`.")
    service_secret: str = Field(
        default="", description="Signs service tokens; empty means `secrets/service`."
    )

    room_members: int = Field(default=100_000, ge=1, description="Most members of a room.")
    user_rooms: int = Field(default=1000, ge=1, description="Most rooms that a user may be in.")

    lease_seconds: int = Field(default=5, ge=2, le=_HOUR, description="Life of an instance's lease in etcd.")
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=_HOUR,
        allow_inf_nan=False,
        description="Longest wait for calls under way at the end.",
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level logged."
    )

    @field_validator("etcd_endpoints", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("etcd_endpoints")
    @classmethod
    def _check_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in value:
            host, _, port = endpoint.rpartition(":")
            if not host or "/" in host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
                raise ValueError(f"{endpoint!r} is not host:port")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in {"http", "https"} or _origin(parts) != origin):
                raise ValueError(f"{origin!r} is neither * nor an origin such as https://app.example.org")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: str) -> str:
        return _url(value, ("redis", "rediss", "unix"))

    @field_validator("public_connect_url")
    @classmethod
    def _check_connect(cls, value: str) -> str:
        return _url(value, ("ws", "wss"))

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        scheme, found, _ = value.partition("://")
        if value and (not found or scheme.partition("+")[0] not in {"sqlite", "mysql", "mariadb"}):
            raise ValueError("it begins with neither sqlite+aiosqlite:// nor mysql+asyncmy://")
        return value

    @field_validator("user_secret", "service_secret")
    @classmethod
    def _check_secret(cls, value: str) -> str:
        if value and len(value) < _SHORTEST_SECRET:
            raise ValueError(f"it is shorter than {_SHORTEST_SECRET} characters")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def effective_redis_url(self) -> str:
        """Where Redis is; the embedded one asks for the password in `secrets/redis`."""
        return self.redis_url or f"redis://{self._redis_credentials()}127.0.0.1:{self.redis_port}/0"

    @property
    def effective_etcd_endpoints(self) -> tuple[str, ...]:
        """Where etcd is."""
        return self.etcd_endpoints or (f"127.0.0.1:{self.etcd_port}",)

    @property
    def effective_database_url(self) -> str:
        """Where the database is."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'idiom.sqlite3'}"

    def user_key(self) -> bytes:
        """Key that signs access tokens.

        Raises:
            OSError: it is neither set nor in the data directory, or too short there.
        """
        return self._secret(self.user_secret, "user")

    def service_key(self) -> bytes:
        """Key that signs service tokens.

        Raises:
            OSError: it is neither set nor in the data directory, or too short there.
        """
        return self._secret(self.service_secret, "service")

    def _redis_credentials(self) -> str:
        try:
            return f":{(self.data_dir / 'secrets' / 'redis').read_text().strip()}@"
        except FileNotFoundError:
            return ""

    def _secret(self, value: str, name: str) -> bytes:
        return value.encode() if value else read_secret(self.data_dir / "secrets" / name)


def read_secret(path: Path) -> bytes:
    """A secret in a file, without white space around it.

    Raises:
        OSError: it cannot be read, or is shorter than 32 bytes.
    """
    secret = path.read_bytes().strip()
    if len(secret) < _SHORTEST_SECRET:
        raise OSError(errno.EINVAL, f"it is shorter than {_SHORTEST_SECRET} bytes", str(path))
    return secret


def environment(**fields: object) -> dict[str, str]:
    """The environment of a child process: this one's, with some settings of its own."""
    return {**os.environ, **{variable(name): str(value) for name, value in fields.items()}}


def unknown_variables() -> list[str]:
    """Variables that look like settings and are none: most likely misspelt."""
    known = {variable(name) for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)


def variable(field: str) -> str:
    """Name of the environment variable of a field."""
    return f"{_PREFIX}{field.upper()}"


def broken_settings(error: ValidationError) -> str:
    """What is wrong with the settings: one sentence that names the variables and shows no secret."""
    return "; ".join(
        f"{variable(str(problem['loc'][0]))}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _origin(parts: SplitResult) -> str:
    """What browsers send: no path, lower case, and no port that the scheme has anyway."""
    port = "" if parts.port in {None, 80 if parts.scheme == "http" else 443} else f":{parts.port}"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _url(value: str, schemes: tuple[str, ...]) -> str:
    if not value:
        return value
    parts = urlsplit(value)  # raises ValueError itself, for example for a port that is none
    if parts.scheme not in schemes or not (parts.hostname or parts.path) or parts.port == 0:
        raise ValueError(f"it is not a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
    return value
