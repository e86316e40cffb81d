"""Compare two folders of products, image by image, to the bit.

    python benchmarks/compare_products.py BEFORE AFTER

Says which images differ, and by how much, and which stand in one folder only; planes
called MASK are left out, and so are headers.  Exit status 1 if anything differs.
"""

import sys
from pathlib import Path

import numpy as np

FOLDERS = ("masters", "calibrated", "stacks")


def images(path: Path) -> dict[str, np.ndarray]:
    """Read every image of a product but its MASK."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        return {
            hdu.name: np.asarray(hdu.data)
            for hdu in hdus
            if hdu.is_image and hdu.data is not None and hdu.name != "MASK"
        }


def products(folder: Path) -> set[str]:
    """List the FITS products below a folder."""
    found = (path for name in FOLDERS for path in (folder / name).rglob("*.f*t*"))
    return {str(path.relative_to(folder)) for path in found if path.is_file()}


def difference(before: Path, after: Path) -> str:
    """Say how two products differ; empty if they do not."""
    old, new = images(before), images(after)
    if old.keys() != new.keys():
        return f"images {sorted(old)} and {sorted(new)}"
    for name, data in old.items():
        other = new[name]
        if data.shape != other.shape or data.dtype != other.dtype:
            return f"{name}: {data.shape} {data.dtype}, {other.shape} {other.dtype}"
        if data.tobytes() != other.tobytes():
            same = (data == other) | (np.isnan(data) & np.isnan(other))
            largest = np.nanmax(np.abs(data.astype(float) - other.astype(float)))
            return f"{name}: {np.count_nonzero(~same)} pixels, by {largest:.3g} at most"
    return ""


def main() -> None:
    before, after = map(Path, sys.argv[1:3])
    old, new = products(before), products(after)
    faults = [f"only in {before}: {name}" for name in sorted(old - new)]
    faults += [f"only in {after}: {name}" for name in sorted(new - old)]
    for name in sorted(old & new):
        if words := difference(before / name, after / name):
            faults.append(f"{name}: {words}")
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(old & new)} products compared, {len(faults)} differ")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
