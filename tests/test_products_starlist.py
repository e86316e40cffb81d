"""The table of stars: counted from 1 in the file, from 0 in Python."""

import numpy as np
import pytest
from astropy.io import fits
from small_products import make_stars, write_product

from autoreduce.errors import InputError
from autoreduce.products.starlist import read_stars, stars


def test_stars_come_back_and_others_find_them_where_fits_counts(tmp_path):
    table = make_stars([(0.0, 2.5), (10.25, 3.0)])
    table["flags"] = [0, 5]
    write_product(tmp_path / "a.fits", np.zeros((9, 12)), table)
    found = read_stars(tmp_path / "a.fits")
    assert found.dtype == table.dtype
    for name in table.dtype.names:
        np.testing.assert_allclose(found[name], table[name], rtol=1e-6)
    with fits.open(tmp_path / "a.fits") as hdus:
        written = hdus["STARS"]
        assert written.data["X_IMAGE"].tolist() == [1.0, 11.25]
        assert written.data["Y_IMAGE"].tolist() == [3.5, 4.0]
        assert written.columns["FLUX"].unit == "adu"
        assert written.columns["SNR"].unit is None
    frame = stars(str(tmp_path / "a.fits"))
    assert frame["x"].tolist() == [0.0, 10.25]
    assert list(frame) == list(table.dtype.names)


def test_a_light_without_stars_has_an_empty_table(tmp_path):
    write_product(tmp_path / "a.fits", np.zeros((9, 12)), make_stars([]))
    assert len(read_stars(tmp_path / "a.fits")) == 0


def test_a_file_without_the_table_is_refused(tmp_path):
    write_product(tmp_path / "a.fits", np.zeros((9, 12)))
    with pytest.raises(InputError, match="no table STARS"):
        read_stars(tmp_path / "a.fits")
