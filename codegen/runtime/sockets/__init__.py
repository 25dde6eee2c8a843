"""WebSocket endpoints: frames, calls by frame, and connections that never wait to write."""

from codegen.runtime.sockets.calls import FrameCalls
from codegen.runtime.sockets.connection import Failure, Flusher, SocketConnection
from codegen.runtime.sockets.endpoint import Endpoint
from codegen.runtime.sockets.frames import FrameCodec, Outgoing, frame_codecs
from codegen.runtime.sockets.lanes import Lanes
from codegen.runtime.sockets.wheel import Wheel

__all__ = [
    "Endpoint",
    "Failure",
    "Flusher",
    "FrameCalls",
    "FrameCodec",
    "Lanes",
    "Outgoing",
    "SocketConnection",
    "Wheel",
    "frame_codecs",
]
