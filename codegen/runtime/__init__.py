"""What generated code calls. Generated code declares; the runtime behaves."""
