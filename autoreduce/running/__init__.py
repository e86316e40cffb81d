"""The plan, carried out: plan in, products and outcomes out."""
