"""A night with known truth, made from a listing."""

from autoreduce.simulate.listing import listing_names, read_listing
from autoreduce.simulate.night import make_night, simulate_night

__all__ = ["listing_names", "make_night", "read_listing", "simulate_night"]
