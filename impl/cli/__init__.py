"""The `idiom` command: the supervisor and what each process of a tier starts with."""
