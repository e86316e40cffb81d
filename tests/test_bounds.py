"""Frames that are too large for the memory are named, and not read."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from small_night import PLACEHOLDER
