"""Gains of amplifiers that flats show, entered into the frame table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from autoreduce.calibration.seams import read_edges, shown_by, with_measured_gains
from autoreduce.fits.amplifiers import Amplifier, read_amplifiers, write_amplifiers
from autoreduce.frames.schema import typed
from autoreduce.planning.recipe import Crosstalk

NY, NX = 80, 72
GAINS = np.array([1.0, 1.25, 1.6, 2.0])
PLACES = ["[1:72,1:80]", "[144:73,1:80]", "[1:72,160:81]", "[144:73,160:81]"]
ZEROS = [500, 600, 700, 800]


def amplifiers(*told, overscan="[73:92,1:80]"):
    told = told or (None,) * 4
    return [
        Amplifier(n + 1, "[1:72,1:80]", place, overscan, gain)
        for n, (place, gain) in enumerate(zip(PLACES, told, strict=True))
    ]


def write_frame(path, electrons, *, seed=1, hot=()):
    """Write four extensions, from corners to the middle, of a light with a slope."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: 2 * NY, : 2 * NX]
    scene = rng.poisson(electrons * (1 + 0.002 * x - 0.001 * y)).astype(float)
    hdus = [fits.PrimaryHDU()]
    for n, gain in enumerate(GAINS):
        rows = slice(None, NY) if n < 2 else slice(None, NY - 1, -1)
        columns = slice(None, NX) if n % 2 == 0 else slice(None, NX - 1, -1)
        raw = np.full((NY, NX + 20), float(ZEROS[n]))
        raw[:, :NX] += scene[rows, columns] / gain
        raw += rng.normal(0, 3, raw.shape)
        if n in hot:
            raw[:, :NX] = 65535
        hdus.append(fits.ImageHDU(np.rint(raw).clip(0, 65535).astype(np.uint16)))
    fits.HDUList(hdus).writeto(path)
    return path


def table(cell, **kinds):
    """Make a frame table: names of files by their types."""
    rows = [
        {"file": file, "imagetyp": kind, "use": True, "amplifiers": cell}
        for kind, files in kinds.items()
        for file in files
    ]
    return typed(pd.DataFrame(rows))


@pytest.fixture
def flats(tmp_path):
    names = [f"flat_{n}.fits" for n in (1, 2, 3)]
    for n, name in enumerate(names):
        write_frame(tmp_path / name, 20_000.0, seed=n)
    return names


def measured(frames, folder):
    """Enter what the frames show that are chosen for it."""
    cells = frames.set_index("file")["amplifiers"]
    edges = {
        file: read_edges(folder / file, read_amplifiers(cells[file]))
        for file in shown_by(frames)
    }
    return with_measured_gains(frames, edges)


def factors(frames):
    return np.array([one.factor for one in read_amplifiers(frames["amplifiers"][0])])


def test_gains_that_nobody_tells_are_measured(flats, tmp_path):
    frames = table(write_amplifiers(amplifiers()), flat=flats, light=["m13.fits"])
    made, notes = measured(frames, tmp_path)
    assert factors(made) == pytest.approx(GAINS / GAINS.mean(), rel=2e-3)
    assert len(set(made["amplifiers"])) == 1
    assert made["egain"].isna().all()
    assert [one.code for one in notes] == ["amplifiers-measured"]
    assert notes[0].subject == tuple(flats)


def test_gains_that_are_right_stand(flats, tmp_path):
    frames = table(write_amplifiers(amplifiers(*GAINS)), flat=flats)
    made, notes = measured(frames, tmp_path)
    assert made["amplifiers"].tolist() == frames["amplifiers"].tolist()
    assert notes == ()


def test_a_gain_that_is_wrong_is_overruled_and_the_mean_stands(flats, tmp_path):
    told = GAINS * [1.03, 1, 1, 0.97]
    made, notes = measured(
        table(write_amplifiers(amplifiers(*told)), flat=flats), tmp_path
    )
    electrons = told.mean() * factors(made)
    # What is told tells the scale: the mean of told over true gains.
    assert electrons / GAINS == pytest.approx([np.mean(told / GAINS)] * 4, rel=2e-3)
    assert [one.code for one in notes] == ["amplifiers-overruled"]
    assert notes[0].expected == "1.03, 1.25, 1.6, 1.94"


def test_one_gain_that_is_told_tells_those_of_all(flats, tmp_path):
    cell = write_amplifiers(amplifiers(None, None, 1.6, None))
    made, _ = measured(table(cell, flat=flats), tmp_path)
    assert made["egain"][0] * factors(made) == pytest.approx(GAINS, rel=2e-3)


def test_without_flats_the_sky_of_lights_tells_what_no_card_does(tmp_path):
    write_frame(tmp_path / "m13.fits", 3000.0)
    write_frame(tmp_path / "bias.fits", 0.0)
    frames = table(
        write_amplifiers(amplifiers()), light=["m13.fits"], bias=["bias.fits"]
    )
    made, _ = measured(frames, tmp_path)
    assert factors(made) == pytest.approx(GAINS / GAINS.mean(), rel=5e-3)
    told = table(write_amplifiers(amplifiers(*GAINS)), light=["m13.fits"])
    assert shown_by(told) == []


def test_a_faint_sky_is_not_believed(tmp_path):
    write_frame(tmp_path / "m13.fits", 40.0)
    made, notes = measured(
        table(write_amplifiers(amplifiers()), light=["m13.fits"]), tmp_path
    )
    assert (made["amplifiers"][0], notes) == (write_amplifiers(amplifiers()), ())


def test_without_overscan_the_level_is_that_of_bias_frames(flats, tmp_path):
    write_frame(tmp_path / "bias.fits", 0.0)
    cell = write_amplifiers(amplifiers(overscan=None))
    made, _ = measured(table(cell, flat=flats, bias=["bias.fits"]), tmp_path)
    assert factors(made) == pytest.approx(GAINS / GAINS.mean(), rel=2e-3)
    alone, notes = measured(table(cell, flat=flats), tmp_path)
    assert (alone["amplifiers"][0], notes) == (cell, ())


def test_crosstalk_is_no_light(flats, tmp_path):
    told = [Crosstalk(victim=2, source=1, times=0.05)]
    cell, heard = amplifiers(), {}
    for name in flats:
        with fits.open(tmp_path / name, mode="update") as hdus:
            ghost = 0.05 * (hdus[1].data[:, :NX] - 500.0)
            hdus[2].data[:, :NX] += np.rint(ghost).astype(np.uint16)
        heard[name] = read_edges(tmp_path / name, cell, told)
    frames = table(write_amplifiers(cell), flat=flats)
    made, _ = with_measured_gains(frames, heard)
    assert factors(made) == pytest.approx(GAINS / GAINS.mean(), rel=2e-3)
    deaf, _ = measured(frames, tmp_path)
    assert factors(deaf)[1] / factors(deaf)[0] < 1.25 * 0.96


def test_a_saturated_flat_tells_nothing(flats, tmp_path):
    write_frame(tmp_path / "full.fits", 20_000.0, hot=(0, 1))
    cell = write_amplifiers(amplifiers())
    made, _ = measured(table(cell, flat=[*flats, "full.fits"]), tmp_path)
    assert factors(made) == pytest.approx(GAINS / GAINS.mean(), rel=2e-3)


def test_a_dead_amplifier_leaves_all_as_they_are(tmp_path):
    path = write_frame(tmp_path / "flat.fits", 20_000.0)
    with fits.open(path, mode="update") as hdus:
        hdus[2].data[:] = 0
    cell = write_amplifiers(amplifiers())
    made, notes = measured(table(cell, flat=["flat.fits"]), tmp_path)
    assert (made["amplifiers"][0], notes) == (cell, ())


def test_few_frames_of_many_are_looked_at():
    cell = write_amplifiers(amplifiers())
    names = [f"flat_{n:02}.fits" for n in range(40)]
    chosen = shown_by(table(cell, flat=names, light=["m13.fits"], bias=["b.fits"]))
    assert len(chosen) == 4
    assert {names[0], names[-1]} <= set(chosen) <= set(names)


def test_detectors_of_a_camera_are_told_of_in_one_line(flats, tmp_path):
    told = write_amplifiers(amplifiers(*(GAINS * [1.03, 1, 1, 1])))
    frames = table(told, flat=flats)
    frames["detector"] = ["North", "East", "South"]
    _, notes = measured(frames, tmp_path)
    assert [(one.code, one.subject) for one in notes] == [
        ("amplifiers-overruled", tuple(flats))
    ]
    assert (
        notes[0].expected == "North 1.03, 1.25, 1.6, 2; East 1.03, 1.25, 1.6, 2; 1 more"
    )
    assert notes[0].found.startswith("North 1.0")


def test_factors_that_the_table_has_stand(flats, tmp_path):
    bare = amplifiers()
    entered = [
        replace(one, factor=f)
        for one, f in zip(bare, (0.7, 0.9, 1.1, 1.3), strict=True)
    ]
    frames = table(write_amplifiers(bare), flat=flats)
    frames.loc[1, "amplifiers"] = write_amplifiers(entered)
    made, notes = measured(frames, tmp_path)
    assert factors(made).tolist() == [0.7, 0.9, 1.1, 1.3]
    assert notes == ()
