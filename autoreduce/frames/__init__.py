"""What the night holds: files in, frame table out."""
