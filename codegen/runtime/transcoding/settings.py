"""Switches of the HTTP side; each has the default that the specification or safety asks for."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.runtime.transcoding.metadata import check_names


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How a dispatcher reads requests and writes answers.

    Raises:
        ValueError: a header is named that is the connection's, this server's or a caller's identity.
    """

    always_print_fields_with_no_presence: bool = False
    """Whether JSON says zeros, empty texts and empty lists too; ProtoJSON leaves them out by default."""
    preserving_proto_field_name: bool = False
    """Whether JSON names fields as the schema writes them, `page_size`, rather than `pageSize`."""
    ignore_unknown_parameters: bool = False
    """Whether query parameters that the schema does not have are passed over rather than refused."""
    ignore_unknown_fields: bool = False
    """Whether fields of a JSON body that the schema does not have are passed over rather than refused."""
    method_override: bool = False
    """Whether `X-HTTP-Method-Override` of a POST names the verb to match."""
    forwarded_headers: frozenset[str] = frozenset()
    """Request headers, in lower case, that go on to the service as metadata, beside `traceparent` and
    `tracestate`. The value of one that ends in `-bin` is base64, and bytes to the service."""
    exposed_metadata: frozenset[str] = frozenset()
    """Metadata of the service's answer, in lower case, that goes out as response headers."""
    compressed_from: int = 1024
    """Bytes from which on a response is compressed where its client accepts that; 0 means never."""

    def __post_init__(self) -> None:
        """Checks the names of headers."""
        check_names(self.forwarded_headers | self.exposed_metadata)
