"""Files for the tests of the tools: small ones written here, and real nights."""

import tarfile
from pathlib import Path

import pytest
from astropy.io import fits
from click.testing import CliRunner

from autoreduce.cli import cli

REAL_NIGHTS = Path(__file__).parents[2] / "shared" / "data" / "nights"


def write_fits(path, data, **cards):
    """Write an image with cards whose keywords have _ for -; return its name."""
    header = fits.Header()
    for keyword, value in cards.items():
        header[keyword.replace("_", "-")] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.writeto(path, data, header)
    return str(path)


def real_night(name, factory):
    """Unpack a real night once a session; skip where there is none."""
    archive = REAL_NIGHTS / f"{name}.tar.xz"
    if not archive.exists():
        pytest.skip(f"the real night {name} is not at hand ({archive})")
    folder = factory.getbasetemp() / "real_nights"
    if not (folder / name).is_dir():
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder / name


def command(*words, fails=False):
    """Run a command line in this process; return what it printed."""
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert (result.exit_code != 0) is fails, result.output
    return result.output
