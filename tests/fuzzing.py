"""What is read from outside, fed with garbage: nothing but words may come of it.

Hypothesis tries some of it in the suite (``test_fuzzing.py``).  With atheris installed
``python tests/fuzzing.py TARGET`` goes on for as long as it is let; what it takes further
are arguments of libFuzzer, such as ``-max_total_time=600`` or a folder of examples.
"""

import sys
import tempfile
from pathlib import Path

from autoreduce.errors import AutoreduceError
from autoreduce.fits.ledger import Ledger, digest_of
from autoreduce.frames.dialects import load_dialects
from autoreduce.frames.overrides import apply_overrides, read_frames_csv
from autoreduce.frames.scan import read_file, scan_night
from autoreduce.planning.recipe import load_recipe
from autoreduce.planning.rules import load_rules
from autoreduce.prepare import earlier_outcomes
from autoreduce.reduction import known_outcomes

CARDS = """SIMPLE  =                    T
BITPIX  =                   16
NAXIS   =                    2
NAXIS1  =                    4
NAXIS2  =                    3
IMAGETYP= 'Light Frame'
OBJECT  = 'M 13    '           / the target
EXPTIME =                 60.0 / [s]
DATE-OBS= '2024-03-02T23:59:59.5'
CCD-TEMP=                -10.0
XBINNING=                    1
TRIMSEC = '[1:4,1:3]'
BZERO   =                32768
"""
FRAMES = """file,imagetyp,object,filter,exptime,date_obs,ccd_temp,trimsec,use,why_not,bias
a.fit,light,M 13,R,60.0,2024-03-02T23:59:59.5,-10.0,"[1:4,1:3]",true,,
b.fit,bias,,,0.0,2024-03-02T22:00:00,-10.0,,false,odd,
"""
PLAN = """{"tasks": [], "notes": [], "outcomes": {"a.fits": {"status": "done", "remarks": [
{"code": "failed", "severity": "failed", "subject": ["a"], "found": "x", "expected": "",
"way_out": "", "text": "x"}], "left_out": {}, "statistics": {"level": 1.5}, "measured": {},
"n_used": 3, "seconds": 0.5, "digest": "abc", "outputs": []}}}
"""
LEDGER = """"columns": ["size"], "files": {
"a.fits": [2880, 1, 2, 3, 4, "abc"]
}}
"""
RECIPE = """[quality]
check = true
max_fwhm = 2.0
[stack]
align = "auto"
[dark]
longer = 3.0
"""
RULES = """fit_ratio = 1.5
[tolerance]
rotator = { absolute = 2.0, period = 360.0 }
[combine.light]
equal = ["telescop", "slit"]
loosely = { focallen = { relative = 0.15 } }
pointing = 0.25
"""
DIALECT = """title = "Mine"
order = 3
recognise = [{ INSTRUME = "Mine*" }]
gain_card = "setting"
[gain]
keywords = ["GAIN", "ISOSPEED"]
[imagetyp.values]
light = ["science"]
"""


def _fits(folder: Path, data: bytes) -> None:
    """Read a file that is called FITS, headers and facts."""
    path = folder / "a.fits"
    path.write_bytes(data)
    scan_night([folder])


def _cards(folder: Path, data: bytes) -> None:
    path = folder / "a.txt"
    path.write_bytes(data)
    list(read_file(path))


def _frames(folder: Path, data: bytes) -> None:
    path = folder / "frames.csv"
    path.write_bytes(data)
    apply_overrides(read_frames_csv(path), settings=["*: exptime=3"])


def _plan(folder: Path, data: bytes) -> None:
    (folder / "plan.json").write_bytes(data)
    known_outcomes(earlier_outcomes(folder))


def _ledger(folder: Path, data: bytes) -> None:
    """Read what stands behind a digest that holds, else nothing would get that far."""
    path = folder / "ledger.json"
    before, after = b'{"form": 3, "digest": "', b'", ' + data
    path.write_bytes(before + digest_of(before + after).encode() + after)
    Ledger.load(path)


def _recipe(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    load_recipe(str(path))


def _rules(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    load_rules(path)


def _dialect(folder: Path, data: bytes) -> None:
    path = folder / "mine.toml"
    path.write_bytes(data)
    load_dialects([path])


def fits_of(cards: str) -> bytes:
    """Make a FITS file of 4 x 3 pixels from its cards, one a line."""
    head = b"".join(
        line.encode()[:80].ljust(80) for line in (*cards.splitlines(), "END")
    )
    return head.ljust(-(-len(head) // 2880) * 2880) + bytes(2880)


TARGETS = {
    "fits": (_fits, fits_of(CARDS)),
    "cards": (_cards, CARDS.encode()),
    "frames": (_frames, FRAMES.encode()),
    "plan": (_plan, PLAN.encode()),
    "ledger": (_ledger, LEDGER.encode()),
    "recipe": (_recipe, RECIPE.encode()),
    "rules": (_rules, RULES.encode()),
    "dialect": (_dialect, DIALECT.encode()),
}
"""What reads from outside, each with something that it is used to."""


def feed(target: str, data: bytes) -> str:
    """Feed a target; give the words with which it refuses, empty if it does not.

    Any other exception is a fault.
    """
    read, _ = TARGETS[target]
    with tempfile.TemporaryDirectory() as folder:
        try:
            read(Path(folder), data)
        except AutoreduceError as error:
            return str(error)
    return ""


if __name__ == "__main__":
    import atheris

    name = sys.argv.pop(1)
    atheris.instrument_all()
    atheris.Setup(sys.argv, lambda data: feed(name, data))
    atheris.Fuzz()
