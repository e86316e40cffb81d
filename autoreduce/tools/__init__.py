"""The observer's small programs, as functions."""
