"""Partitioned streams: batches in, fenced batches out. See docs/streams.md."""
