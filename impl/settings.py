"""The one settings model. Nothing else reads the environment.

Every variable is `IDIOM_<FIELD>`; `idiom up` gives each process of a tier its own values where they differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Settings of one process."""

    model_config = SettingsConfigDict(env_prefix="IDIOM_", extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Where the embedded servers and secrets live.")
    instance: str = Field(default="", description="Name of this process; empty means `<tier>-1`.")
    host: str = Field(default="127.0.0.1", description="Address that public ports listen on.")
    internal_host: str = Field(default="127.0.0.1", description="Address that internal ports listen on.")

    gateway_port: Port = Field(default=8080, description="HTTP port of the gateway.")
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
    etcd_prefix: str = Field(default="/idiom", description="Prefix of all keys in etcd.")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the data directory.")

    public_connect_url: str = Field(
        default="", description="Address of the socket given to clients; empty means the instance's own."
    )
    access_token_seconds: float = Field(default=43200.0, gt=0, description="Life of an access token.")
    refresh_token_seconds: float = Field(default=2592000.0, gt=0, description="Life of a refresh token.")
    user_secret: str = Field(default="", description="Signs access tokens; empty means `secrets/user`.")
    service_secret: str = Field(default="", description="Signs service tokens; empty means `secrets/service`.")

    lease_seconds: int = Field(default=5, ge=2, description="Life of an instance's lease in etcd.")
    drain_seconds: float = Field(default=5.0, ge=0, description="Longest wait for calls under way at the end.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level logged.")

    @field_validator("etcd_endpoints", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def effective_redis_url(self) -> str:
        """Where Redis is."""
        return self.redis_url or f"redis://127.0.0.1:{self.redis_port}/0"

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
            OSError: it is neither set nor in the data directory.
        """
        return self._secret(self.user_secret, "user")

    def service_key(self) -> bytes:
        """Key that signs service tokens.

        Raises:
            OSError: it is neither set nor in the data directory.
        """
        return self._secret(self.service_secret, "service")

    def _secret(self, value: str, name: str) -> bytes:
        return value.encode() if value else (self.data_dir / "secrets" / name).read_bytes().strip()
