"""Records what the present schema writes: `python -m tests.contract.record released/<version>`."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from tests.contract.catalog import frames, stream_payloads
from tests.contract.population import variants


def record(directory: Path) -> None:
    """Writes `envelopes.jsonl` and `frames.jsonl`; each line has type, name, wire (base64) and ProtoJSON."""
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "envelopes.jsonl", stream_payloads())
    _write(directory / "frames.jsonl", frames())


def _write(path: Path, descriptors: Sequence[Descriptor]) -> None:
    lines = [
        json.dumps(
            {
                "type": descriptor.full_name,
                "name": name,
                "wire": base64.b64encode(message.SerializeToString(deterministic=True)).decode(),
                "json": json.loads(json_format.MessageToJson(message)),
            }
        )
        for descriptor in descriptors
        for name, message in variants(descriptor)
    ]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
