"""Arithmetic on arrays: no tables, no files."""
