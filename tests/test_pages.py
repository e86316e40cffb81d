"""Boxes of the pages that are no tutorials are carried out too, each in a fresh folder."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from make_pictures import carry_out
from page_boxes import boxes, is_run, run, run_python
from simulated_groups import write_part
from small_night import write_frame

from autoreduce.remarks import CODES

ROOT = Path(__file__).parents[1]

SIZE = (800, 1200)
"""Rows and columns of frames in which the boxes of the tools lie."""
LAST = "20210227.0090"
"""From this frame of the notes on no box that is run names any (planning.md shows 0090)."""

UNRUN = {
    ("commands.md", "lightcurve"): "its stars are those of a reader's night",
    ("commands.md", "demo"): "the tutorials carry it out",
    ("README.md", "lightcurve"): "its star is one of a reader's night",
    ("README.md", "pytest"): "that is this suite",
    ("products.md", "--solve"): "README.md does, with the same night",
    ("report.md", "write_report"): "its tables are those of a run",
    ("unattended.md", "/data/products"): "its nights are a reader's own",
}
"""Boxes and lines that are not carried out: page, a word in them, why."""
NEEDS = {"--solve": "solve-field", "jq": "jq"}
"""Programs without which a line cannot be carried out."""


def cases():
    pages = (
        "../README.md", "amplifiers.md", "commands.md", "index.md", "library.md",
        "planning.md", "products.md", "python.md", "report.md", "stacks.md",
        "tools.md", "unattended.md",
    )  # fmt: skip
    for page in pages:
        name = page.removeprefix("../")
        found = [box for box in boxes(page) if box[0] in ("sh", "python")]
        for n, (language, text) in enumerate(found):
            yield pytest.param(name, language, text, id=f"{name}-{n}")


@pytest.fixture(scope="session")
def night(tmp_path_factory):
    """Make those frames of the notes that the pages name, small; reduce them."""
    folder = tmp_path_factory.mktemp("reader")

    def keep(row):
        return row["filter"] in ("", "R", "Lum", "V") and row["name"] < LAST

    write_part(folder, keep)
    shutil.rmtree(folder / "night_truth")
    carry_out(("night", "library add night_reduced --library masters"), folder)
    return folder


def image(path, exptime=30.0, level=1000, **cards):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    header = fits.Header({"EXPTIME": exptime, "DATE-OBS": "2021-02-27T01:02:03"})
    header.update(cards)
    data = rng.normal(level, level**0.5, SIZE).astype(np.uint16)
    fits.writeto(path, data, header)


def tool_files(folder, text):
    """Write the frames that the boxes of the tools name."""
    for n in (10, 11):
        image(folder / f"20210227.00{n}.fit", IMAGETYP="Bias Frame")
        image(folder / f"bsub.005{n - 9}.fit")
    for n in (11, 12, 21):
        image(folder / f"bias.00{n}.fit")
        image(folder / f"flat.{n}.fit", level=20000)
        image(folder / f"light.00{n}.fit")
    for exptime in (60, 120, 180):
        level = 100 + exptime // 10
        image(folder / f"mean_dark{exptime}.fit", float(exptime), level)
    for name in ("light", "dark", "image", "red", "green", "blue"):
        image(folder / f"{name}.fit")
    if "combine" not in text:
        image(folder / "mean_bias.fit")
        image(folder / "flat.fit")
    image(folder / "spectrum.fit")
    image(folder / "night_reduced/stacks/light_M27.fits")


def raw_files(folder):
    at = "2021-02-27T01:02:0"
    for n, kind in enumerate(("bias", "dark", "light")):
        write_frame(folder, f"{n}.fit", kind, 10.0 * n, **{"DATE-OBS": f"{at}{n}"})


def nights(folder, *names):
    for name in names:
        shutil.copytree(folder / "night", folder / name)


def amplified(folder, text):
    """Write frames of the cameras that the page tells of; give the folder to be in."""
    rng, night = np.random.default_rng(5), folder / "night"
    if "2112" in text or "2049" in text:
        for kind, level in (("bias", 0), ("flat", 9000), ("light", 500)):
            pixels = (300 + rng.poisson(level, (2048, 2112))).astype(np.uint16)
            write_frame(night, f"{kind}.fits", kind, 5.0 * bool(level), pixels=pixels)
        return folder
    (folder / "recipe.toml").write_text("[light]\ntogether = true\n")
    make = (
        "simulate mosaic night --size 128x100",
        "night --planes --recipe recipe.toml",
    )
    carry_out(make if "exposures" in text else make[:1], folder)
    for name in ("light_0042", "flat_0007"):
        first = night / f"{name.partition('_')[0]}_1.fits"
        shutil.copy(first, night / f"{name}.fits")
    return folder / "night_reduced" if "exposures" in text else folder


@pytest.fixture
def reader(night, tmp_path):
    """Give a folder as the reader of a box has it."""

    def prepare(page, text):
        if page == "tools.md":
            if "rename" in text:
                raw_files(tmp_path)
            else:
                tool_files(tmp_path, text)
            return tmp_path
        if page == "amplifiers.md":
            return amplified(tmp_path, text)
        shutil.copytree(night, tmp_path, dirs_exist_ok=True)
        (tmp_path / "home").mkdir()
        shutil.copytree(tmp_path / "masters", tmp_path / "home/masters")
        if page == "library.md":
            nights(tmp_path, "march_1", "march_8")
            for name in ("march_1_reduced", "march_8_reduced"):
                shutil.copytree(tmp_path / "night_reduced", tmp_path / name)
            image(tmp_path / "MasterDark_300s.fit", 300.0, IMAGETYP="Dark Frame")
        if page == "planning.md":
            nights(tmp_path, "2024/03-01", "2024/03-02")
        if "simulate" in text:
            shutil.rmtree(tmp_path / "night")
        return tmp_path

    return prepare


def left_out(page, text):
    """Say why a line, or a box, is not carried out; empty if it is."""
    for (of, word), why in UNRUN.items():
        if of == page and word in text:
            return why
    missing = (one for word, one in NEEDS.items() if word in text)
    return next((f"{one} is not here" for one in missing if not shutil.which(one)), "")


@pytest.mark.parametrize(("page", "language", "text"), list(cases()))
def test_what_a_page_tells_to_do_works(page, language, text, reader, monkeypatch):
    if language == "python":
        if why := left_out(page, text):
            pytest.skip(why)
        run_python(text, reader(page, text))
        return
    folder = reader(page, text)
    monkeypatch.setenv("HOME", str(folder / "home"))
    lines = [line for line in text.splitlines() if is_run(line, folder)]
    why = [reason for line in lines if (reason := left_out(page, line))]
    for line in lines:
        if not left_out(page, line):
            run(line, folder)
    if len(why) == len(lines):
        pytest.skip("; ".join(why) or "it installs, opens a browser or another program")


def test_what_questions_quote_is_what_autoreduce_says():
    quoted = [text.strip() for language, text in boxes("faq.md") if language == "text"]
    said = [re.split(r"\{\w+\}", code.sentence) for code in CODES.values()]
    said = [parts for parts in said if len("".join(parts)) > 20]
    for text in quoted:
        assert any(
            re.search(".*".join(map(re.escape, parts)), text) for parts in said
        ), text


def test_nobody_is_told_to_install_the_package_of_somebody_else():
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("autoreduce/**/*.py"),
    ):
        for name in re.findall(
            r"pip3? install +['\"]?([\w-]+)", path.read_text("utf-8")
        ):
            assert name != "autoreduce", path
