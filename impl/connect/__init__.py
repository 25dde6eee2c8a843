"""The connection gateway."""
