"""What each task makes, and what its header says of it."""
