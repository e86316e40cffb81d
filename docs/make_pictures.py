"""Make the pictures of these pages, from simulated nights, with the code as it is.

    python docs/make_pictures.py                 # all of them, into docs/pictures
    python docs/make_pictures.py --check         # are those that are there still true?
    python docs/make_pictures.py --night transit # only those of one night

Nights are simulated and reduced with the commands that the pages show.  Pictures of the
report need playwright, and Chromium or Chrome; without them they are passed over.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from autoreduce.report.pictures import Stretch, read_picture
from autoreduce.simulate import read_listing

PICTURES = Path(__file__).parent / "pictures"
ALIKE = 1.5
"""Shades, of 255, by which blocks of a picture made anew may differ, in the mean; turned
left to right these pictures differ by 2.5 at least."""
BLOCK = 16
"""Pixels of a block: letters and noise are drawn a little otherwise elsewhere."""
CUT = (300, 225)
"""Columns and rows of what is shown pixel by pixel."""
QUALITY = 82
GAP = 6

Maker = Callable[[Path], Image.Image]

NIGHTS: Mapping[str, tuple[str, ...]] = {
    "demo": (
        "demo .",
        "arith night/20210227.003[1-5].fit - night_reduced/masters/bias_*.fits -o bsub",
        "combine -m average -a mean -u bsub.003[1-5].fit -o mean_flat.fit",
        "combine -m median -u bsub.003[1-5].fit -o median_flat.fit",
    ),
    "colour": ("demo . --colour",),
    "transit": (
        "simulate transit night",
        "night",
        "lightcurve night_reduced",
    ),
    "notes": (
        "simulate notes_2021 night --size 416x313",
        "night --recipe notes",
        "darkfit night_reduced/masters/dark_*s_*.fits -b 150 275 100 175 -p dark_fit.png",
    ),
}
"""Commands that make each night, in a folder of its own."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture of the pages."""

    night: str
    make: Maker
    in_browser: bool = False


def browser() -> str | None:
    """Find the browser that draws pages of the report; None without one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return found if find_spec("playwright") else None


def make_night(name: str, folder: Path) -> None:
    """Carry out the commands of a night in an empty folder."""
    folder.mkdir(parents=True)
    carry_out(NIGHTS[name], folder)


def carry_out(commands: Sequence[str], folder: Path) -> None:
    """Carry out commands in a folder."""
    for line in commands:
        subprocess.run(
            [sys.executable, "-m", "autoreduce", *_expanded(line, folder)],
            cwd=folder,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1735689600"},
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _expanded(line: str, folder: Path) -> Iterator[str]:
    """Give the words of a command, as a shell does."""
    for word in line.split():
        found = sorted(folder.glob(word)) if "*" in word else []
        yield from (str(path.relative_to(folder)) for path in found)
        if not found:
            yield word


# ----- what is drawn


def small(path: Path, width: int) -> Image.Image:
    """Open a picture and make it as wide as that."""
    image = Image.open(path).convert("RGB")
    height = round(image.height * width / image.width)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def shown(path: Path, width: int, stretch: Stretch = Stretch.LINEAR) -> Image.Image:
    """Draw a FITS image as the report does, as wide as that."""
    pixels = read_picture(path, largest=2 * width, stretch=stretch).pixels
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    return image.resize((width, round(image.height * width / image.width)))


def cut(path: Path, centre: tuple[int, int], zoom: int = 1) -> Image.Image:
    """Draw a part of a FITS image pixel by pixel, sky dark grey, its first row below."""
    columns, rows = CUT[0] // zoom, CUT[1] // zoom
    x, y = centre[0] - columns // 2, centre[1] - rows // 2
    part = np.asarray(fits.getdata(path)[y : y + rows, x : x + columns], np.float64)
    sky = np.nanmedian(part)
    noise = 1.4826 * np.nanmedian(np.abs(part - sky))
    return grey(np.arcsinh((part - sky) / (2 * noise) + 1.5) / np.arcsinh(25))


def grey(shades: NDArray[np.float64]) -> Image.Image:
    """Draw shades, 0 to 1 and the first row below, in the size of `CUT`."""
    known = np.nan_to_num(np.clip(shades, 0, 1) * 255).astype(np.uint8)[::-1]
    image = Image.fromarray(np.ascontiguousarray(known)).convert("RGB")
    return image.resize(CUT, Image.Resampling.NEAREST)


def beside(*panels: tuple[str, Image.Image]) -> Image.Image:
    """Lay pictures of one height beside one another, with words above each."""
    font, above = ImageFont.load_default(15), 24
    width = sum(image.width for _, image in panels) + GAP * (len(panels) - 1)
    sheet = Image.new("RGB", (width, panels[0][1].height + above), "white")
    draw, x = ImageDraw.Draw(sheet), 0
    for words, image in panels:
        draw.text((x + 2, 3), words, "black", font)
        sheet.paste(image, (x, above))
        x += image.width + GAP
    return sheet


def what_comes_out(home: Path) -> Image.Image:
    """Show a raw light, the same calibrated, and the picture of its object."""
    done, light = home / "night_reduced", "20210227.0074.fit"
    return beside(
        ("a raw light", shown(home / "night" / light, 300, Stretch.FAINT)),
        ("calibrated", shown(done / "calibrated" / light, 300, Stretch.FAINT)),
        ("the picture of the object", small(done / "pictures/Crab.png", 300)),
    )


def masters(home: Path) -> Image.Image:
    """Show masters of each kind."""
    folder = home / "night_reduced/masters"
    names = "bias_2x2_m20C", "dark_180s_2x2_m20C", "flat_Lum_2x2"
    words = "master bias", "master dark, 180 s", "master flat, Lum"
    files = [folder / f"{name}.fits" for name in names]
    return beside(*zip(words, [shown(path, 300) for path in files], strict=True))


def light_and_stack(home: Path) -> Image.Image:
    """Show a part of the nebula's field raw, calibrated and stacked."""
    done, light, part = home / "night_reduced", "20210227.0080.fit", (1230, 420)
    stack = done / "stacks/light_Crab_G_180s_2x2.fits"
    return beside(
        ("one raw light", cut(home / "night" / light, part)),
        ("calibrated", cut(done / "calibrated" / light, part)),
        ("the stack of 3", cut(stack, part)),
    )


def mosaic_and_stack(home: Path) -> Image.Image:
    """Show a part of a colour mosaic, and the same part of the picture."""
    done = home / "night_reduced"
    light = fits.getheader(done / "stacks/light_M-27_nofilter_120s_1x1.fits")["GRID"]
    picture = Image.open(done / "pictures/M-27.png").convert("RGB")
    x, y, zoom = 330, 420, 3  # rows from the top: so the file begins
    width, height = CUT[0] // zoom, CUT[1] // zoom
    left, top = x - width // 2, y - height // 2
    part = picture.crop((left, top, left + width, top + height))
    raw = cut(home / "night" / Path(light).name, (x, y), zoom)
    return beside(
        ("one raw light: a mosaic", raw.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
        ("the picture of all 24", part.resize(CUT, Image.Resampling.NEAREST)),
    )


def flats(home: Path) -> Image.Image:
    """Show what twilight flats have too much, by what they should be."""
    truth = np.asarray(fits.getdata(home / "night_truth/flat_Lum.fits"), np.float64)
    panels = {
        "their mean": home / "mean_flat.fit",
        "their median": home / "median_flat.fit",
        "the master flat": home / "night_reduced/masters/flat_Lum_2x2.fits",
    }
    drawn = []
    for words, path in panels.items():
        ratio = fits.getdata(path) / truth
        rows, columns = (size // 4 for size in ratio.shape)
        blocks = ratio[: 4 * rows, : 4 * columns].reshape(rows, 4, columns, 4)
        means = np.nanmean(blocks, axis=(1, 3))
        drawn.append((words, grey((means / np.nanmedian(means) - 0.99) / 0.03)))
    return beside(*drawn)


def light_curve(home: Path) -> Image.Image:
    """Draw the curve of the eclipsed star against the listing, which is the truth."""
    from matplotlib.figure import Figure

    curve = pd.read_csv(home / "night_reduced/lightcurves/WX-9_R_curve.csv")
    faults = {frame.name: frame.faults for frame in read_listing("transit").frames}
    names = [Path(light).name for light in curve["light"]]
    lost = np.array([faults[name].get("eclipse", 0.0) for name in names])
    truth = -2.5 * np.log10(1 - lost)
    hours = (curve["jd_utc"] - curve["jd_utc"].min()) * 24
    figure = Figure(figsize=(6.4, 4.6), dpi=100, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    above.plot(hours, truth - truth.mean(), "-", color="C1", label="truth")
    above.errorbar(hours, curve["mag"], curve["mag_error"], fmt=".k", label="measured")
    above.invert_yaxis()
    above.set_ylabel("magnitude about the mean")
    above.legend(frameon=False)
    below.plot(hours, curve["zero_point"], ".k")
    below.set(xlabel="hours", ylabel="clouds, mag")
    figure.savefig(page := BytesIO(), format="png")
    return Image.open(page).convert("RGB")


def report(
    place: str, *, dark: bool = False, width: int = 1000, height: int = 640
) -> Maker:
    """Say how a part of a report is drawn: `height` pixels of it from `place` on."""

    def make(home: Path) -> Image.Image:
        with _page(home / "night_reduced/report.html", width, height, dark) as page:
            top = page.locator(place).first.bounding_box()["y"] - 10
            area = {"x": 0, "y": max(0, top), "width": width, "height": height}
            shot = page.screenshot(clip=area, full_page=True)
        return Image.open(BytesIO(shot)).convert("RGB")

    return make


@contextmanager
def _page(path: Path, width: int, height: int, dark: bool) -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        page.goto(path.as_uri())
        page.wait_for_timeout(500)
        yield page
        chromium.close()


def finished(name: str, width: int = 640) -> Maker:
    """Say how a finished picture is shown."""
    return lambda home: small(home / "night_reduced/pictures" / name, width)


DRAWN: Mapping[str, Drawn] = {
    "what_comes_out.jpg": Drawn("demo", what_comes_out),
    "crab.jpg": Drawn("demo", finished("Crab.png")),
    "cluster.jpg": Drawn("demo", finished("cluster.png")),
    "galaxy.jpg": Drawn("demo", finished("galaxy.png")),
    "masters.jpg": Drawn("demo", masters),
    "light_and_stack.jpg": Drawn("demo", light_and_stack),
    "report.jpg": Drawn("demo", report("body"), in_browser=True),
    "report_verdict.jpg": Drawn("demo", report("#attention"), in_browser=True),
    "report_attention.jpg": Drawn("demo", report("#attention h3"), in_browser=True),
    "report_levels.jpg": Drawn("demo", report("#levels", height=560), in_browser=True),
    "report_plan.jpg": Drawn("demo", report("#plan"), in_browser=True),
    "report_phone.jpg": Drawn(
        "demo", report("body", width=390, height=780), in_browser=True
    ),
    "m27.jpg": Drawn("colour", finished("M-27.png")),
    "mosaic_and_stack.jpg": Drawn("colour", mosaic_and_stack),
    "report_quality.jpg": Drawn(
        "colour", report("#quality", dark=True, height=760), in_browser=True
    ),
    "light_curve.png": Drawn("transit", light_curve),
    "flats.jpg": Drawn("demo", flats),
    "dark_fit.png": Drawn("notes", lambda home: small(home / "dark_fit.png", 640)),
}
"""All pictures of the pages, by name."""


def save(image: Image.Image, path: Path) -> None:
    """Write a picture as small as it still looks well."""
    if path.suffix == ".png":
        image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        image.save(path, quality=QUALITY, optimize=True, progressive=True)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Compare two pictures: the mean difference of their blocks, in shades of 255."""
    if one.size != other.size:
        return 255.0
    size = -(-one.width // BLOCK), -(-one.height // BLOCK)
    blocks = [
        np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), float)
        for image in (one, other)
    ]
    return float(np.abs(blocks[0] - blocks[1]).mean())


def pictures_of(night: str, folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Make the pictures of a night that can be made here."""
    for name, drawn in DRAWN.items():
        if drawn.night == night and not (drawn.in_browser and browser() is None):
            yield name, drawn.make(folder)


def main() -> int:
    """Make pictures, or check them; return how many are not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--night", choices=NIGHTS, help="only pictures of this night")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for night in [options.night] if options.night else NIGHTS:
            make_night(night, Path(folder) / night)
            for name, image in pictures_of(night, Path(folder) / night):
                path = PICTURES / name
                if not options.check:
                    save(image, path)
                    print(f"{name}: {path.stat().st_size / 1000:.0f} kB")
                    continue
                off = difference(image, Image.open(path))
                wrong += off > ALIKE
                print(f"{name}: {off:.1f}{' DIFFERS' * (off > ALIKE)}")
    if browser() is None:
        print("pictures of reports: passed over, they need playwright and Chromium")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
