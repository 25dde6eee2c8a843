"""What the tiers share at rest: tables, keys and scripts."""
