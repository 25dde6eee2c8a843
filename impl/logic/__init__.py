"""Business logic: users, messages, history, conversations."""
