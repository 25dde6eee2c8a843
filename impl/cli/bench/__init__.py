"""`idiom bench NAME`: what the system does next to what others do, measured here and now.

Targets are ratios: both sides run in turn on the same machine, and the median of all rounds counts.
"""
