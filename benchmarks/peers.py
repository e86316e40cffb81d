"""The same work by Python peers, and by our kernels alone; one process each.

Used by the benchmarks as ``python peers.py JOB OUTPUT FILE...``.
"""

import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np


def _stack(files):
    from astropy.io import fits

    return np.stack([fits.getdata(file) for file in files])


def _write(output, data):
    from astropy.io import fits

    fits.writeto(output, np.asarray(data, np.float32), overwrite=True)


def numpy_median(output, files):
    _write(output, np.median(_stack(files), axis=0))


def numpy_drop(output, files):
    """Mean without the highest sample, in integers."""
    stack = _stack(files)
    total = stack.sum(axis=0, dtype=np.uint32) - stack.max(axis=0)
    _write(output, total / (len(stack) - 1))


def astropy_clip(output, files):
    from astropy.stats import sigma_clipped_stats

    mean, _, _ = sigma_clipped_stats(_stack(files), sigma=3, axis=0)
    _write(output, mean)


def _ccdproc(output, files, **options):
    import ccdproc

    combined = ccdproc.combine(files, unit="adu", mem_limit=2e9, **options)
    _write(output, combined.data)


def ccdproc_median(output, files):
    _ccdproc(output, files, method="median")


def ccdproc_clip(output, files):
    _ccdproc(
        output,
        files,
        method="average",
        sigma_clip=True,
        sigma_clip_low_thresh=3,
        sigma_clip_high_thresh=3,
    )


def numpy_calibrate(output, files):
    from astropy.io import fits

    *lights, bias, dark, flat = files
    bias, dark, flat = (fits.getdata(file) for file in (bias, dark, flat))
    for light in lights:
        data = (fits.getdata(light) - bias - np.float32(0.5) * dark) / flat
        _write(Path(output) / Path(light).name, data)


def ccdproc_calibrate(output, files):
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    *lights, bias, dark, flat = files
    bias, dark, flat = (CCDData.read(f, unit="adu") for f in (bias, dark, flat))
    for light in lights:
        data = ccdproc.subtract_bias(CCDData.read(light, unit="adu"), bias)
        data = ccdproc.subtract_dark(
            data,
            dark,
            scale=True,
            data_exposure=1 * u.s,
            dark_exposure=2 * u.s,
        )
        data = ccdproc.flat_correct(data, flat, norm_value=1.0)
        _write(Path(output) / Path(light).name, data.data)


def read_and_write(output, files, written=None):
    """Read the lights and write float32 files of their size: no arithmetic at all."""
    *lights, bias, _dark, _flat = files
    buffer = bytearray(1 << 20)
    size = Path(bias).stat().st_size
    for light in lights:
        with Path(light).open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        with (Path(output) / Path(light).name).open("wb", buffering=0) as file:
            for start in range(0, size, len(buffer)):
                file.write(memoryview(buffer)[: size - start])
            if written is not None:
                written(file)


def read_and_write_durably(output, files):
    """Do so, and wait until each file and its name are on the disk, as a run does."""
    folder = os.open(output, os.O_RDONLY)

    def written(file):
        os.fsync(file.fileno())
        os.fsync(folder)

    read_and_write(output, files, written)


def autoreduce_calibrate(output, files):
    """Calibrate as a run does: two processes, each with the masters in its memory."""
    from autoreduce.running.processes import worker_processes

    *lights, bias, dark, flat = files
    with worker_processes(2, ("autoreduce.products.lights",)) as processes:
        given = ((output, light, bias, dark, flat) for light in lights)
        list(processes.map(_calibrate, given))


def _calibrate(given):
    """Calibrate a light band by band, as `autoreduce.products.lights` does."""
    from autoreduce.calibration import bands as calibration
    from autoreduce.calibration.store import MasterStore
    from autoreduce.fits.writer import ImageWriter
    from autoreduce.planning.plan import FrameInput
    from autoreduce.products.lights import LIGHT_BAND

    output, light, *masters = (Path(path) for path in given)
    bias, dark, flat = (path.name for path in masters)
    correction = calibration.Correction(bias=bias, dark=dark, dark_scale=0.5, flat=flat)
    # What travels to a process is the store that it keeps.
    store = pickle.loads(pickle.dumps(MasterStore(1 << 30)))
    with (
        calibration.RawFrame(light.parent, FrameInput(light.name)) as frame,
        calibration.MasterRows(
            masters[0].parent, correction.masters, store=store
        ) as rows,
        ImageWriter(
            output / light.name, frame.shape, header_cards=0, overwrite=True
        ) as writer,
    ):
        for band in calibration.bands(*frame.shape, 2, LIGHT_BAND):
            data = calibration.calibrated_rows(frame, correction, rows, *band)
            writer.write_rows(band[0], data)
        writer.finish([])


KEYWORDS = (
    "IMAGETYP", "OBJECT", "FILTER", "EXPTIME", "XBINNING", "YBINNING", "GAIN",
    "CCD-TEMP", "DATE-OBS", "NAXIS1", "NAXIS2", "INSTRUME",
)  # fmt: skip


def _table(output, rows):
    Path(output).write_text("\n".join("\t".join(map(str, row)) for row in rows))


def autoreduce_scan(output, files):
    """Read all headers, as the first run over a night does."""
    os.environ["AUTOREDUCE_NO_CACHE"] = "1"
    _scan(output, files)


def autoreduce_again(output, files):
    """Use the headers that the run before has kept."""
    os.environ["XDG_CACHE_HOME"] = str(Path(output).with_name("cache"))
    _scan(output, files)


def _scan(output, files):
    """Scan; the CPU seconds without imports and dialect tables are noted aside."""
    from autoreduce.frames.dialects import load_dialects
    from autoreduce.frames.scan import scan_night

    load_dialects()
    start = time.process_time()
    frames = scan_night([Path(files[0])]).frames
    with Path(output).with_suffix(".seconds").open("a") as notes:
        notes.write(f"{time.process_time() - start}\n")
    columns = ["imagetyp", "object", "filter", "exptime", "naxis1", "naxis2"]
    _table(output, frames[columns].itertuples(index=False))


def autoreduce_headers(output, files):
    from autoreduce.fits.header import read_headers

    paths = sorted(Path(files[0]).glob("*.fits"))
    headers = (read_headers(path)[0] for path in paths)
    _table(output, ([h.get(keyword) for keyword in KEYWORDS] for h in headers))


def astropy_scan(output, files):
    from astropy.io import fits

    paths = sorted(Path(files[0]).glob("*.fits"))
    headers = (fits.getheader(path) for path in paths)
    _table(output, ([h.get(keyword) for keyword in KEYWORDS] for h in headers))


def ccdproc_scan(output, files):
    from ccdproc import ImageFileCollection

    table = ImageFileCollection(files[0], keywords=list(KEYWORDS)).summary
    _table(output, table)


def imports(output, files):
    """Nothing but what the start of Python and numpy costs."""


if __name__ == "__main__":
    job, output, *files = sys.argv[1:]
    globals()[job](output, files)
