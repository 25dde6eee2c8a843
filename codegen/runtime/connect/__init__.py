"""The Connect protocol and gRPC-Web, beside REST in one app."""

from codegen.runtime.connect.route import ConnectRoute, mount_connect

__all__ = ["ConnectRoute", "mount_connect"]
