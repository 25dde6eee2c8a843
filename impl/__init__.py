"""Hand-written behaviour: the tiers, what they keep, and the command that runs them."""
