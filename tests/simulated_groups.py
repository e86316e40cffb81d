"""Nights cut out of the simulated night of the notes: some frames, a bent camera."""

from autoreduce.simulate import simulate_night
from autoreduce.simulate.listing import listing_folder


def write_part(folder, keep, *, size=(416, 313), camera=(), seed=7, fault=None):
    """Simulate the frames of the notes whose row `keep` chooses, and their truth.

    `camera` holds pairs of texts that are replaced in the camera's TOML; `fault` is a
    function of a row's cells that returns the fault of the frame, if any.
    """
    source = listing_folder() / "notes_2021.csv"
    toml = source.with_suffix(".toml").read_text("utf-8")
    for old, new in camera:
        assert old in toml
        toml = toml.replace(old, new)
    lines = [x for x in source.read_text("utf-8").splitlines() if x[:1] != "#"]
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    rows = [row for row in rows if keep(row)]
    for row in rows:
        row["fault"] = (fault and fault(row)) or row["fault"]
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / "part.csv"
    text = "\n".join(",".join(row[name] for name in names) for row in rows)
    listing.write_text(f"{lines[0]}\n{text}\n", "utf-8")
    listing.with_suffix(".toml").write_text(toml, "utf-8")
    simulate_night(listing, folder / "night", seed=seed, size=size, truth=True)
    return folder / "night"
