"""Message processing: what follows an accepted event."""
