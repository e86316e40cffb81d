"""The real Siril takes calibrated lights with planes for what they are."""

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from small_night import write_night

from autoreduce.reduction import reduce_night
from autoreduce.running.execute import Limits

SIRIL = shutil.which("siril-cli")
SCRIPT = "requires 1.0.0\ncd {folder}\nconvert light -out=./process\n"


@pytest.mark.skipif(SIRIL is None, reason="siril-cli is not installed")
def test_siril_takes_a_light_with_planes_for_one_light(tmp_path):
    night = write_night(tmp_path / "night")
    done = reduce_night(
        night, output=tmp_path / "out", limits=Limits(planes=True), page=False
    )
    folder = done.folder / "calibrated"
    with fits.open(folder / "light_0001.fit") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK", "UNCERT", "STARS"]
        pixels = hdus[0].data.copy()
    script = tmp_path / "convert.ssf"
    script.write_text(SCRIPT.format(folder=folder))
    run = subprocess.run(
        [SIRIL, "-s", script], capture_output=True, text=True, timeout=120, check=True
    )
    made = sorted((folder / "process").glob("*.fit"))
    assert len(made) == 3, run.stdout
    np.testing.assert_array_equal(fits.getdata(made[0]), pixels)
