"""What is done to one frame, a band of rows at a time."""
