"""Clients of a service, for programs outside it: over HTTP, gRPC and sockets."""
