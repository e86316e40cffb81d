"""What will be done: frame table in, plan out.  No pixel is read here."""
