"""Solved coordinates: carried to other pixels as astropy has it, and found by a solver."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from stack_fields import add_noise, paint

from autoreduce.fits.checksum import check_sums
from autoreduce.fits.header import RawHeader
from autoreduce.fits.writer import write_image
from autoreduce.pixels.register import Transform
from autoreduce.pixels.stars import STAR
from autoreduce.products import solution
from autoreduce.products.solution import Hints, Solution, solve
from autoreduce.products.starlist import read_stars
from autoreduce.reduction import reduce_night
from autoreduce.running import solving
from autoreduce.running.execute import Limits, Status

SHAPE = (800, 1000)
CENTRE = (150.0, 30.0)
SCALE = 3.0
"""Arcseconds in a pixel."""
INDEX = Path("/usr/share/astrometry/index-tycho2-07.littleendian.fits")
SHIFTS = [(0.0, 0.0), (12.4, -7.7), (-9.1, 15.2)]
DISTORTION = {
    "A": {(2, 0): 3e-6, (0, 2): -2e-6, (1, 1): 1e-6},
    "B": {(2, 0): 1e-6, (0, 2): 4e-6},
    "AP": {(2, 0): -3e-6, (0, 2): 2e-6, (1, 1): -1e-6},
    "BP": {(2, 0): -1e-6, (0, 2): -4e-6},
}


def made(*, turn=20.0, distortion=DISTORTION, centre=CENTRE):
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    matrix = SCALE / 3600 * np.array([[-c, s], [s, c]])
    place = ((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2)
    return Solution(centre, place, matrix, distortion)


def world(found):
    header = fits.Header.fromstring(b"".join(found.cards()))
    return WCS(header)


def polynomials(found, x, y):
    """Give the values of the inverse distortion."""
    return np.array(
        [
            sum(
                (c * x**p * y**q for (p, q), c in found.distortion[name].items()),
                np.zeros(len(x)),
            )
            for name in ("AP", "BP")
            if found.distortion
        ]
        or np.zeros((2, len(x)))
    )


def plain_world(header):
    """Give the coordinates of a whole header, whose dates wcslib fixes with a warning."""
    keep = ("WCSAXES", "CTYPE", "CUNIT", "CRVAL", "CRPIX", "RADESYS", "CD", "A_", "B_")
    return WCS(fits.Header([c for c in header.cards if c.keyword.startswith(keep)]))


@pytest.mark.parametrize("distortion", [{}, DISTORTION])
@pytest.mark.parametrize(
    "transform",
    [
        Transform(12.5, -7.25),
        Transform(-30.0, 55.0, 33.0),
        Transform(0.5, 0.5, 0.0, 2.0),
        Transform(900.0, 11.0, 179.6, 1.0, mirrored=True),
    ],
)
def test_carried_coordinates_are_those_of_the_same_place(transform, distortion):
    reference = made(distortion=distortion)
    carried = reference.carried(transform)
    x, y = np.random.default_rng(1).uniform(0, 700, (2, 50))
    expected = world(reference).pixel_to_world(*transform(x, y))
    found = world(carried).pixel_to_world(x, y)
    assert found.separation(expected).arcsec.max() < 1e-5
    # The way back, too, by the inverse polynomials: step F'(u) is F(step u).
    step = transform.matrix[:, :2]
    inverse = [
        step @ polynomials(carried, x, y),
        polynomials(reference, *(step @ np.array([x, y]))),
    ]
    np.testing.assert_allclose(*inverse, atol=1e-9)


def test_what_is_written_reads_back():
    one = made()
    again = Solution.of_header(RawHeader(0, b"".join(one.cards())))
    assert again.sky == one.sky
    np.testing.assert_allclose(again.place, one.place)
    np.testing.assert_allclose(again.matrix, one.matrix)
    for name, terms in one.distortion.items():
        assert {k: v for k, v in again.distortion[name].items() if v} == terms


def test_hints_become_options():
    options = solution._hinted(Hints(2.0, 10.0, -5.0))
    assert options[:6] == (
        *("--scale-units", "arcsecperpix", "--scale-low", "1.7"),
        *("--scale-high", "2.3"),
    )
    assert "--dec=-5.000000" in options
    assert solution._hinted(Hints(None, 10.0, None)) == ()


def test_a_solver_that_finds_nothing_or_cannot_run_solves_nothing(monkeypatch):
    stars = np.zeros(3, STAR)
    for solver in ("true", "/nonexistent/solver"):
        monkeypatch.setattr(solution, "SOLVER", solver)
        monkeypatch.setattr(solution, "ASTAP", (solver,))
        assert solve(stars, SHAPE, Hints(3.0)) is None


# ------------------------------------------------------------------ ASTAP

FAKE_ASTAP = """#!{python}
import json, pathlib, sys
asked = pathlib.Path({asked!r})
asked.open("a").write(json.dumps(sys.argv[1:]) + "\\n")
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert pathlib.Path(words["-f"]).is_file()
ini = pathlib.Path(words["-o"] + ".ini")
if "-ra" in words:
    ini.write_text("PLTSOLVD=F\\nERROR=No solution found!\\n")
    sys.exit(1)
ini.write_text({ini!r})
"""


def fake_astap(folder, found):
    """Write a program that finds nothing near the hints, and a solution anywhere."""
    cards = fits.Header.fromstring(b"".join(found.cards()))
    names = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
    lines = ["PLTSOLVD=T", *(f"{name}= {cards[name]:.16E}" for name in names)]
    program, asked = folder / "astap", folder / "asked"
    text = FAKE_ASTAP.format(
        python=sys.executable,
        asked=str(asked),
        ini="\n".join([*lines, "CMDLINE=astap"]),
    )
    program.write_text(text, "utf-8")
    program.chmod(0o755)
    return program, asked


def bright_stars():
    x, y = random_stars()
    stars = np.zeros(len(x), STAR)
    stars["x"], stars["y"] = x, y
    stars["flux"] = np.geomspace(1e6, 1e3, len(x))
    return stars


def test_astap_is_asked_where_the_other_solver_is_not_there(tmp_path, monkeypatch):
    """A made program keeps to the command line and the .ini file of the real one."""
    truth = made(distortion={})
    program, asked = fake_astap(tmp_path, truth)
    monkeypatch.setattr(solution, "SOLVER", "no-such-solver")
    monkeypatch.setattr(solution, "ASTAP", ("no-such-astap", str(program)))
    assert solution.is_installed()
    found = solve(bright_stars(), SHAPE, Hints(SCALE, 150.0, -5.0))
    assert found.sky == pytest.approx(truth.sky)
    assert found.place == pytest.approx(truth.place)
    np.testing.assert_allclose(found.matrix, truth.matrix)
    first, second = (json.loads(line) for line in asked.read_text().splitlines())
    hinted = dict(zip(first[::2], first[1::2], strict=True))
    assert float(hinted["-ra"]) == pytest.approx(10.0)  # hours
    assert float(hinted["-spd"]) == pytest.approx(85.0)  # from the south pole
    assert float(hinted["-fov"]) == pytest.approx(SHAPE[0] * SCALE / 3600, rel=1e-4)
    assert second[-2:] == ["-r", "180"]


@pytest.mark.parametrize("words", ["", "PLTSOLVD=T\nCRVAL1=x", "PLTSOLVD=T"])
def test_what_astap_does_not_say_is_no_solution(tmp_path, monkeypatch, words):
    program = tmp_path / "astap"
    program.write_text(f"#!/bin/sh\nprintf '{words}' > drawn.ini\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(solution, "SOLVER", "no-such-solver")
    monkeypatch.setattr(solution, "ASTAP", (str(program),))
    assert solve(bright_stars(), SHAPE, Hints(3.0)) is None


@pytest.mark.skipif(not shutil.which("astap_cli"), reason="astap_cli is not installed")
def test_the_real_astap_finds_the_stars_that_are_drawn_for_it(tmp_path):
    stars = bright_stars()
    write_image(tmp_path / "drawn.fits", solution._drawn(stars, SHAPE), [])
    words = ["astap_cli", "-f", "drawn.fits", "-o", "drawn", "-extract", "10"]
    subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
    x, y = np.loadtxt(tmp_path / "drawn.csv", delimiter=",", skiprows=1, ndmin=2).T[:2]
    assert len(x) > 0.9 * len(stars)
    apart = [
        np.hypot(stars["x"] + 1 - a, stars["y"] + 1 - b).min()
        for a, b in zip(x, y, strict=True)
    ]
    assert np.median(apart) < 0.05


# ------------------------------------------------------------------ nights


def write_night(folder, x, y):
    folder.mkdir()
    rng = np.random.default_rng(4)
    flux = rng.uniform(3e4, 2e5, len(x))
    for n, (dx, dy) in enumerate(SHIFTS):
        scene = np.zeros(SHAPE)
        paint(scene, x + dx, y + dy, flux, 3.0)
        data = np.clip(np.rint(add_noise(scene, 300.0, rng)), 0, 65535)
        header = fits.Header(
            {
                "IMAGETYP": "Light Frame",
                "OBJECT": "Field",
                "FILTER": "R",
                "EXPTIME": 60.0,
                "DATE-OBS": f"2024-03-02T20:{n:02d}:00",
                "RA": CENTRE[0] + 0.2,
                "DEC": CENTRE[1],
                "PIXSCALE": 3.1,
                "INSTRUME": "Camera",
            }
        )
        fits.writeto(folder / f"l{n}.fits", data.astype(np.uint16), header)
    return folder


def check_coordinates(folder, x, y, truth, within):
    """Hold solved coordinates of all products against the truth."""
    for n, (dx, dy) in enumerate(SHIFTS):
        path = folder / "calibrated" / f"l{n}.fits"
        check_sums(path)
        found = plain_world(fits.getheader(path)).pixel_to_world(x + dx, y + dy)
        assert np.median(found.separation(truth).arcsec) < within
    (stack,) = (folder / "stacks").glob("*.fits")
    header = fits.getheader(stack)
    at = [f"calibrated/l{n}.fits" for n in range(3)].index(header["GRID"])
    assert header["SOLVED"] == header["GRID"]
    dx, dy = SHIFTS[at]
    found = plain_world(header).pixel_to_world(x + dx, y + dy)
    assert np.median(found.separation(truth).arcsec) < within


def random_stars():
    rng = np.random.default_rng(9)
    return rng.uniform(40, SHAPE[1] - 40, 60), rng.uniform(40, SHAPE[0] - 40, 60)


def test_a_solution_is_carried_to_all_lights_and_stacks(tmp_path, monkeypatch):
    x, y = random_stars()
    night = write_night(tmp_path / "night", x, y)
    asked = []

    def found(stars, shape, hints):
        """Solve as a solver would: the stars tell which light it is."""
        asked.append(hints)
        first = stars[:20]
        apart = [
            np.median([np.hypot(x + dx - s["x"], y + dy - s["y"]).min() for s in first])
            for dx, dy in SHIFTS
        ]
        dx, dy = SHIFTS[int(np.argmin(apart))]
        return made().carried(Transform(-dx, -dy))

    monkeypatch.setattr(solving, "solve", found)
    monkeypatch.setattr(solving, "is_installed", lambda: True)
    limits = Limits(solve=True, jobs=1)
    done = reduce_night(night, output=tmp_path / "out", limits=limits, page=False)
    truth = world(made()).pixel_to_world(x, y)
    check_coordinates(done.folder, x, y, truth, 0.3)
    assert asked == [Hints(3.1, CENTRE[0] + 0.2, CENTRE[1])]
    assert len(read_stars(done.folder / "calibrated" / "l0.fits")) > 40
    # Nothing is made, nor solved, again.
    again = reduce_night(night, output=tmp_path / "out", limits=limits, page=False)
    ends = again.report.outcomes.values()
    assert {one.status for one in ends} == {Status.CURRENT}
    assert len(asked) == 1


def test_without_a_solver_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(solution, "SOLVER", "no-such-solver")
    monkeypatch.setattr(solution, "ASTAP", ())
    night = write_night(tmp_path / "night", *random_stars())
    limits = Limits(solve=True, jobs=1)
    done = reduce_night(night, output=tmp_path / "out", limits=limits, page=False)
    (note,) = (one for one in done.report.plan.notes if one.code == "no-solver")
    assert "apt install astrometry.net astrometry-data-tycho2" in str(note)
    assert "astap-cli" in str(note)
    assert not done.failed


def test_a_field_that_is_not_found_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(solving, "solve", lambda *_: None)
    monkeypatch.setattr(solving, "is_installed", lambda: True)
    night = write_night(tmp_path / "night", *random_stars())
    limits = Limits(solve=True, jobs=1)
    done = reduce_night(night, output=tmp_path / "out", limits=limits, page=False)
    (note,) = (one for one in done.report.plan.notes if one.code == "not-solved")
    assert len(note.subject) == 3
    assert "CTYPE1" not in fits.getheader(done.folder / "calibrated" / "l0.fits")


@pytest.mark.skipif(
    not shutil.which("solve-field") or not INDEX.exists(),
    reason="solve-field and astrometry-data-tycho2-07 are not installed",
)
def test_a_real_solver_finds_the_coordinates(tmp_path):
    """The stars are those of its own catalogue, drawn where a known solution has them."""
    words = ["query-starkd", "-r", CENTRE[0], "-d", CENTRE[1], "-R", 0.6, INDEX]
    run = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=True
    )
    found = re.findall(r"^([\d.]+), ([-\d.]+)$", run.stdout, re.MULTILINE)
    places = np.array(found, float)
    x, y = world(made(distortion={})).all_world2pix(*places.T, 0)
    inside = (x > 20) & (x < SHAPE[1] - 20) & (y > 20) & (y < SHAPE[0] - 20)
    x, y = x[inside], y[inside]
    assert len(x) > 12
    night = write_night(tmp_path / "night", x, y)
    limits = Limits(solve=True, jobs=1)
    done = reduce_night(night, output=tmp_path / "out", limits=limits, page=False)
    truth = world(made(distortion={})).pixel_to_world(x, y)
    check_coordinates(done.folder, x, y, truth, 1.0)
