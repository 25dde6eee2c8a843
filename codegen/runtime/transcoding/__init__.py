"""HTTP to RPC: `google.api.http` rules at run time. See docs/transcoding.md."""
