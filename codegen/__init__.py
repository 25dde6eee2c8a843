"""The toolkit: a schema in, typed wires out. Knows nothing of any application."""
