"""Masters of other nights and of other programs."""
