"""One stack for each object, filter and night, by a recipe of one's own.

    python examples/stacks_by_night.py NIGHT... RECIPE.toml

sharp.toml beside this script is such a recipe.
"""

import sys

import pandas as pd
from astropy.io import fits

import autoreduce

*nights, recipe = sys.argv[1:]
choices = autoreduce.Choices(recipe=recipe, stack_by=("object", "filter", "night"))
done = autoreduce.reduce_night(nights, choices=choices)
lights = pd.read_csv(done.folder / "lights.csv")

rows = []
for path in sorted((done.folder / "stacks").glob("*.fits")):
    header = fits.getheader(path)
    cards = {name: header.get(name) for name in ("NCOMBINE", "TOTEXP", "ALIGNED")}
    own = lights[lights["stack"].eq(f"stacks/{path.name}")]
    rows.append(
        {"stack": path.stem, **cards, "FWHM of its lights": own["fwhm"].median()}
    )
print(pd.DataFrame(rows).to_string(index=False))

for light in lights.dropna(subset="why_not").itertuples():
    print(f"without {light.light}: {light.why_not}")
for output in done.failed:
    print(f"not made: {output}: {done.outcomes[output].reason}")
