"""Descriptors to text, at build time: one IR, and a small module per kind of output."""
