"""What the tiers keep: Redis keys and scripts, tables and migrations."""
