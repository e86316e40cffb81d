"""Masters of other nights: kept in a folder, chosen by the ladder, checked."""

import gzip
import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner
from small_night import (
    SHAPE,
    hashes,
    make_flat_field,
    make_pixels,
    write_frame,
    write_night,
)

from autoreduce.cli import cli
from autoreduce.errors import InputError, ProductError
from autoreduce.fits.ledger import LEDGER
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.library.masters import (
    INDEX,
    add_to_library,
    check_library,
    listing,
    read_library,
    write_index,
)
from autoreduce.prepare import Choices, prepare_night
from autoreduce.reduction import reduce_night, run_prepared
from autoreduce.running.execute import Limits


def invoke(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """Reduce a night with all calibration frames, of 1 March 2024."""
    night = write_night(tmp_path_factory.mktemp("first") / "night")
    return reduce_night(night, limits=Limits(planes=True), page=False).folder


@pytest.fixture
def library(reduced, tmp_path):
    folder = tmp_path / "library"
    add_to_library(folder, [reduced])
    return folder


def write_lights(folder, exptime=60.0, **cards):
    for n in range(1, 4):
        own = {"DATE_OBS": f"2024-03-08T0{n}:00:00", **cards}
        write_frame(folder, f"light_{n:04d}.fit", "light", exptime, **own)
    return folder


def planned(folder, library, **choices):
    return prepare_night([folder], Choices(library=library, **choices))


def first_light(prepared):
    lights = prepared.frames[prepared.frames["imagetyp"] == "light"]
    return lights.set_index("file").iloc[0]


def write_foreign(folder, name="MasterBias.fit", pixels=None, **cards):
    """Write a master as another program would: floats, and few cards."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full(SHAPE, 300.0) if pixels is None else pixels
    header = fits.Header()
    defaults = {
        "IMAGETYP": "Master Bias",
        "EXPTIME": 0.0,
        "DATE-OBS": "2024-03-02T01:00:00",
        "XBINNING": 1,
        "YBINNING": 1,
        "CCD-TEMP": -10.0,
        "SET-TEMP": -10.0,
        "INSTRUME": "Camera",
    }
    for keyword, value in {**defaults, **cards}.items():
        if value is not None:
            header[keyword.replace("_", "-")] = value
    path = folder / name
    fits.writeto(path, pixels.astype(np.float32), header)
    return path


# ------------------------------------------------------------ what it holds


def test_a_library_holds_the_masters_of_a_night_as_they_are(reduced, library):
    masters = read_library(library).masters
    assert masters["imagetyp"].tolist() == ["bias", "dark", "dark", "flat"]
    assert masters["file"].iloc[3] == "flat_R_1x1_2024-03-01.fits"
    for row in masters.itertuples():
        source = reduced / "masters" / row.file.replace("_2024-03-01", "")
        assert (library / row.file).read_bytes() == source.read_bytes()


def test_every_match_key_survives_the_way_through_header_and_index(library, tmp_path):
    night = write_night(tmp_path / "night")
    frames = prepare_night([night]).frames
    bias = frames[frames["imagetyp"] == "bias"]
    by_header = read_library(library, trust_index=False).masters
    by_index = read_library(library).masters
    pd.testing.assert_frame_equal(by_header, by_index)
    master = by_header.iloc[0]
    for name in ("naxis1", "naxis2", "xbinning", "ccd_temp", "egain", "night"):
        assert master[name] == bias[name].iloc[0]
    assert abs(master["date_obs"] - bias["date_obs"].mean()) < pd.Timedelta(seconds=1)
    assert (master["n_frames"], master["keeps_bias"]) == (3, False)


def test_a_spreadsheet_runs_no_cell_of_the_index_and_masters_are_as_they_were(tmp_path):
    night, library = tmp_path / "night", tmp_path / "library"
    for n in range(1, 4):
        write_frame(night, f"bias_{n}.fit", "bias", INSTRUME="=HYPERLINK(1)")
    add_to_library(library, [reduce_night(night, page=False).folder])
    assert ",'=HYPERLINK(1)," in (library / INDEX).read_text()
    by_header = read_library(library, trust_index=False).masters
    assert by_header["instrume"].item() == "=HYPERLINK(1)"
    pd.testing.assert_frame_equal(read_library(library).masters, by_header)


def test_overscan_and_trim_sections_are_match_keys_too(tmp_path):
    night = tmp_path / "night"
    cards = {"BIASSEC": "[57:64,1:48]", "TRIMSEC": "[1:56,1:48]"}
    for n in range(1, 4):
        rng = np.random.default_rng(n)
        dark, lit = make_pixels("bias", 0.0, rng), make_pixels("light", 60.0, rng)
        lit[:, 56:] = dark[:, 56:]
        write_frame(night, f"bias_{n}.fit", "bias", **cards)
        write_frame(night, f"light_{n}.fit", "light", 60.0, pixels=lit, **cards)
    add_to_library(tmp_path / "library", [reduce_night(night, page=False).folder])
    master = read_library(tmp_path / "library").masters.iloc[0]
    assert (master["naxis1"], master["naxis2"]) == (64, 48)
    assert master["biassec"] == "[57:64,1:48]"
    assert master["trimsec"] == "[1:56,1:48]"
    lights = write_lights(tmp_path / "other", **cards)
    assert first_light(planned(lights, tmp_path / "library"))["level"] == 1
    bare = write_lights(tmp_path / "bare")
    assert pd.isna(first_light(planned(bare, tmp_path / "library"))["bias"])


def test_darks_without_a_bias_are_known_to_keep_it(tmp_path):
    night = write_night(tmp_path / "night", without=("bias", "flatdark", "flat"))
    add_to_library(tmp_path / "library", [reduce_night(night, page=False).folder])
    assert read_library(tmp_path / "library").masters["keeps_bias"].tolist() == [True]
    same = write_lights(tmp_path / "same")
    assert "holds it" in first_light(planned(same, tmp_path / "library"))["reason"]
    shorter = write_lights(tmp_path / "shorter", exptime=30.0)
    assert pd.isna(first_light(planned(shorter, tmp_path / "library"))["dark"])


# ------------------------------------------------------------ the ladder


def test_lights_of_a_night_without_calibration_frames_get_the_librarys(
    library, tmp_path
):
    lights = write_lights(tmp_path / "lights")
    before = hashes(library)
    result = reduce_night(lights, choices=Choices(library=library), page=True)
    assert not result.failed
    assert hashes(library) == before
    light = result.report.frames.iloc[0]
    assert light["level"] == 1
    assert light["bias"] == (library / "bias_1x1_m10C_2024-03-01.fits").as_posix()
    assert "flat_R_1x1_2024-03-01, 5.8 d away, from the library" in light["reason"]
    assert not [
        task for task in result.report.plan.tasks if tuple(map(str, task.missing))
    ]
    notes = " ".join(map(str, result.report.plan.notes))
    assert "no darks among the frames that are used: masters from the library" in notes


def test_pixels_are_the_same_as_with_the_masters_of_the_night(library, tmp_path):
    whole = write_night(tmp_path / "whole")
    lights = write_lights(tmp_path / "lights", DATE_OBS="2024-03-02T04:00:00")
    for n in range(1, 4):
        (whole / f"light_{n:04d}.fit").write_bytes(
            (lights / f"light_{n:04d}.fit").read_bytes()
        )
    own = reduce_night(whole, page=False).folder
    choices = Choices(library=library)
    borrowed = reduce_night(lights, choices=choices, page=False).folder
    name = "calibrated/light_0002.fit"
    np.testing.assert_array_equal(
        fits.getdata(own / name), fits.getdata(borrowed / name)
    )
    header = fits.getheader(borrowed / name)
    assert header["CALSTAT"] == "BDF"
    assert header["FLATFILE"] == str(library / "flat_R_1x1_2024-03-01.fits")


def test_an_older_dark_is_scaled_to_a_shorter_exposure(library, tmp_path):
    lights = write_lights(tmp_path / "lights", exptime=30.0)
    light = first_light(planned(lights, library))
    assert (light["level"], light["dark_scale"]) == (3, 0.5)
    assert "scaled by 0.5, 5.8 d away, from the library" in light["reason"]


@pytest.mark.parametrize(
    ("month", "bias", "dark", "flat"),
    [("03-25", 1, 1, 2), ("05-08", 2, 1, 3), ("2025", None, None, None)],
)
def test_masters_serve_as_long_as_the_ladder_lets_them(
    library, tmp_path, month, bias, dark, flat
):
    date = "2025-06-01" if month == "2025" else f"2024-{month}"
    lights = write_lights(tmp_path / "lights", DATE_OBS=f"{date}T01:00:00")
    plan = planned(lights, library).plan
    levels = {entry.need: entry.level for entry in plan.verdicts if entry.chosen}
    wanted = {"bias": bias, "dark": dark, "flat": flat}
    assert levels == {need: level for need, level in wanted.items() if level}


def test_masters_of_the_night_itself_come_first(library, tmp_path):
    night = write_night(tmp_path / "night")
    with_library, alone = planned(night, library), prepare_night([night])
    assert with_library.plan.tasks == alone.plan.tasks
    assert with_library.plan.external == ()
    found = {entry.candidate for entry in with_library.plan.verdicts}
    assert (library / "bias_1x1_m10C_2024-03-01.fits").as_posix() in found


def test_flats_and_darks_of_a_night_take_their_bias_from_the_library(library, tmp_path):
    night = write_night(tmp_path / "night", without=("bias",))
    result = reduce_night(night, choices=Choices(library=library), page=False)
    assert not result.failed
    for name in ("dark_60s_1x1_m10C", "flat_R_1x1"):
        header = fits.getheader(result.folder / "masters" / f"{name}.fits")
        assert "B" in header["CALSTAT"]
        assert header["BIASFILE"] == str(library / "bias_1x1_m10C_2024-03-01.fits")


def test_a_master_of_the_library_can_be_chosen_by_hand(library, tmp_path):
    night = write_night(tmp_path / "night")
    path = (library / "bias_1x1_m10C_2024-03-01.fits").as_posix()
    by_path = planned(night, library, settings=[f"light_0001.fit: bias={path}"])
    light = first_light(by_path)
    assert (light["bias"], light["level"]) == (path, 0)
    assert "bias bias_1x1_m10C_2024-03-01, chosen by hand" in light["reason"]
    name = "bias_1x1_m10C_2024-03-01"
    by_name = planned(night, library, settings=[f"light_0001.fit: bias={name}"])
    assert first_light(by_name)["bias"] == path


def test_a_plan_with_masters_of_a_library_can_be_written_down(library, tmp_path):
    plan = planned(write_lights(tmp_path / "lights"), library).plan
    assert len(plan.external) == 3
    written = json.loads(plan.to_json())
    assert written["external"] == list(plan.external)


# ------------------------------------------------------------ running


def test_what_is_current_is_not_made_again_until_a_master_changes(library, tmp_path):
    lights = write_lights(tmp_path / "lights")

    def statuses():
        result = reduce_night(lights, choices=Choices(library=library), page=False)
        return {outcome.status for outcome in result.report.outcomes.values()}

    assert statuses() == {"done"}
    assert statuses() == {"current"}
    master = library / "bias_1x1_m10C_2024-03-01.fits"
    with fits.open(master, mode="update") as hdus:
        hdus[0].header["DIGEST"] = "0" * 32
    assert statuses() == {"done"}


def test_planes_are_made_from_a_library_with_planes(library, tmp_path):
    lights = write_lights(tmp_path / "lights")
    limits, choices = Limits(planes=True), Choices(library=library, settings=RDNOISE)
    result = reduce_night(lights, choices=choices, limits=limits, page=False)
    with fits.open(result.folder / "calibrated" / "light_0001.fit") as hdus:
        assert np.isfinite(hdus["UNCERT"].data).all()


RDNOISE = ["*: rdnoise=4"]


def test_planes_are_refused_if_a_master_of_the_library_has_none(tmp_path):
    night = write_night(tmp_path / "night", without=("dark", "flat", "flatdark"))
    add_to_library(tmp_path / "library", [reduce_night(night, page=False).folder])
    lights = write_lights(tmp_path / "lights")
    choices = Choices(library=tmp_path / "library", settings=RDNOISE)
    with pytest.raises(ProductError, match="leave --planes out"):
        reduce_night(lights, choices=choices, limits=Limits(planes=True), page=False)


def test_a_master_that_is_gone_costs_only_its_own_step(library, tmp_path):
    prepared = planned(write_lights(tmp_path / "lights"), library)
    (library / "flat_R_1x1_2024-03-01.fits").unlink()
    result = run_prepared(prepared, tmp_path / "products", page=False)
    assert not result.failed
    outcome = result.report.outcomes["calibrated/light_0001.fit"]
    assert next(map(str, outcome.remarks)).startswith("not flat-fielded: ")
    assert next(map(str, outcome.remarks)).endswith("could not be read")


# ------------------------------------------------------------ keeping it


def masters_and_index(library):
    found = hashes(library)
    del found[LEDGER]
    return found


def test_adding_again_adds_nothing_and_another_master_replaces_nothing(
    reduced, library, tmp_path
):
    before = masters_and_index(library)
    again = add_to_library(library, [reduced])
    assert [master.is_new for master in again] == [False] * 4
    assert masters_and_index(library) == before
    night = write_night(tmp_path / "night")
    (night / "bias_0003.fit").unlink()
    other = reduce_night(night, page=False).folder
    added = add_to_library(library, [other / "masters" / "bias_1x1_m10C.fits"])
    assert added[0].file == "bias_1x1_m10C_2024-03-01_2.fits"
    assert before.items() - {(INDEX, before[INDEX])} <= hashes(library).items()


def test_a_damaged_master_is_refused(reduced, tmp_path):
    copy = tmp_path / "bias.fits"
    content = bytearray((reduced / "masters" / "bias_1x1_m10C.fits").read_bytes())
    content[-5000] ^= 1
    copy.write_bytes(content)
    (added,) = add_to_library(tmp_path / "library", [copy])
    assert "damaged: its checksum does not hold" in added.reason
    assert read_library(tmp_path / "library").masters.empty


def test_a_gzipped_master_is_taken_as_it_was(reduced, library, tmp_path):
    master = reduced / "masters" / "bias_1x1_m10C.fits"
    packed = tmp_path / "bias.fits.gz"
    packed.write_bytes(gzip.compress(master.read_bytes()))
    (added,) = add_to_library(tmp_path / "other", [packed])
    assert (tmp_path / "other" / added.file).read_bytes() == master.read_bytes()
    assert not add_to_library(library, [packed])[0].is_new
    content = bytearray(master.read_bytes())
    content[-5000] ^= 1
    packed.write_bytes(gzip.compress(content))
    (added,) = add_to_library(tmp_path / "third", [packed])
    assert "damaged: its checksum does not hold" in added.reason


@pytest.mark.parametrize("at", [None, 0, 10], ids=["cut", "no gzip", "spoilt"])
def test_a_damaged_gzipped_master_keeps_no_other_from_the_library(
    reduced, tmp_path, at
):
    master = reduced / "masters" / "bias_1x1_m10C.fits"
    content = master.read_bytes()
    begin, rest = (
        bytearray(gzip.compress(c)) for c in (content[:-9000], content[-9000:])
    )
    if at is None:
        del rest[len(rest) // 2 :]
    else:
        rest[at] = 7  # of a block: of no type that there is
    packed = tmp_path / "bias.fits.gz"
    # It ends as a whole file does: with its unpacked size.
    packed.write_bytes(begin + rest[:-4] + len(content).to_bytes(4, "little"))
    refused, added = add_to_library(tmp_path / "library", [packed, master])
    assert f"{packed}: damaged gzip file" in refused.reason
    assert added.is_new
    assert list(read_library(tmp_path / "library").masters["file"]) == [added.file]


def test_a_folder_in_a_library_is_no_copy_of_a_master(library):
    (library / "dir.fit").mkdir()
    assert check_library(library) == {}


@pytest.mark.parametrize("name", ["copy.fits.gz", "copy.fit", "COPY.FITS"])
def test_a_copy_that_the_library_does_not_read_is_told(library, name):
    master = (library / "bias_1x1_m10C_2024-03-01.fits").read_bytes()
    pack = gzip.compress if name.endswith(".gz") else bytes
    (library / name).write_bytes(pack(master))
    assert "`autoreduce library add`" in check_library(library)[name]
    told = invoke("library", "list", "--library", library)
    assert f"not used: {name}: " in told


def test_products_that_are_no_masters_are_refused(reduced, tmp_path):
    light = reduced / "calibrated" / "light_0001.fit"
    raw = write_frame(tmp_path, "bias.fit", "bias")
    added = add_to_library(tmp_path / "library", [light, raw])
    assert added[0].reason.startswith(f"{light}: it is not a master bias, dark or flat")
    assert "is a raw frame, no master" in added[1].reason
    with pytest.raises(InputError, match="not the output folder of a reduction"):
        add_to_library(tmp_path / "library", [tmp_path])


def test_checking_finds_what_is_damaged_lost_twice_and_strange(library):
    assert check_library(library) == {}
    content = bytearray((library / "flat_R_1x1_2024-03-01.fits").read_bytes())
    content[9000] ^= 4
    (library / "flat_R_1x1_2024-03-01.fits").write_bytes(content)
    (library / "dark_2s_1x1_m10C_2024-03-01.fits").unlink()
    (library / "zcopy.fits").write_bytes(
        (library / "bias_1x1_m10C_2024-03-01.fits").read_bytes()
    )
    write_frame(library, "raw.fits", "bias")
    problems = check_library(library)
    assert list(problems) == [
        "dark_2s_1x1_m10C_2024-03-01.fits",
        "flat_R_1x1_2024-03-01.fits",
        "raw.fits",
        "zcopy.fits",
    ]
    words = ["lost", "damaged", "is not a master", "the same master as bias_1x1"]
    for word, problem in zip(words, problems.values(), strict=True):
        assert word in problem


def test_without_an_index_the_headers_are_read_and_the_index_can_be_rebuilt(library):
    masters = read_library(library).masters
    index = (library / INDEX).read_text()
    for text in (None, "nonsense", index.replace("bias,", "bias,2,", 1), ""):
        (library / INDEX).unlink(missing_ok=True)
        if text is not None:
            (library / INDEX).write_text(text)
        found = read_library(library)
        pd.testing.assert_frame_equal(found.masters, masters)
        assert not found.unreadable
    write_index(read_library(library))
    assert (library / INDEX).read_text() == index


def test_the_list_tells_temperature_and_age(library):
    table = listing(read_library(library), datetime(2024, 3, 12, 5, 0, tzinfo=UTC))
    assert table["temperature"].tolist() == [-10.0] * 4
    assert ((table["age_days"] > 9.5) & (table["age_days"] < 10.5)).all()


# ------------------------------------------------------------ other programs


def test_a_master_of_another_program_serves_what_its_header_fits(tmp_path):
    master = write_foreign(tmp_path, NCOMBINE=20, SWCREATE="Stacker 3")
    (added,) = add_to_library(tmp_path / "library", [master])
    assert added.is_new
    assert any("gain" in remark for remark in added.remarks)
    row = read_library(tmp_path / "library").masters.iloc[0]
    assert (row["imagetyp"], row["n_frames"]) == ("bias", 20)
    assert "Stacker 3" in row["program"]
    lights = write_lights(tmp_path / "lights")
    choices = Choices(library=tmp_path / "library")
    result = reduce_night(lights, choices=choices, page=False)
    data = fits.getdata(result.folder / "calibrated" / "light_0001.fit")
    raw = fits.getdata(lights / "light_0001.fit")
    np.testing.assert_array_equal(data, raw.astype(np.float32) - 300)


def test_masters_of_other_programs_are_checked_like_our_own(tmp_path):
    write_foreign_to = tmp_path / "library"
    add_to_library(write_foreign_to, [write_foreign(tmp_path)])
    assert check_library(write_foreign_to) == {}
    again = add_to_library(write_foreign_to, [tmp_path / "MasterBias.fit"])
    assert not again[0].is_new


def test_a_foreign_dark_must_tell_whether_it_holds_its_bias(tmp_path):
    cards = {"IMAGETYP": "Master Dark", "EXPTIME": 60.0}
    dark = write_foreign(tmp_path, "MasterDark.fit", **cards)
    (added,) = add_to_library(tmp_path / "library", [dark])
    assert "--dark-bias kept or --dark-bias subtracted" in added.reason
    (added,) = add_to_library(tmp_path / "library", [dark], keeps_bias=True)
    assert added.is_new
    told = write_foreign(tmp_path, "Told.fit", CALSTAT="B", **cards)
    add_to_library(tmp_path / "library", [told])
    keeps = read_library(tmp_path / "library").masters["keeps_bias"].tolist()
    assert keeps == [True, False]


@pytest.mark.parametrize("scale", [1.0, 0.3, 20000.0])
def test_a_foreign_flat_of_any_level_is_brought_to_one(tmp_path, scale):
    cards = {"IMAGETYP": "Master Flat", "EXPTIME": 2.0, "FILTER": "R"}
    field = make_flat_field()
    flat = write_foreign(tmp_path, "flat.fit", scale * field, **cards)
    (added,) = add_to_library(tmp_path / "library", [flat])
    data = fits.getdata(tmp_path / "library" / added.file)
    assert np.median(data) == pytest.approx(np.median(field) if scale == 1 else 1)
    np.testing.assert_allclose(data / np.median(data), field / np.median(field), 1e-5)
    assert any("is divided out" in one for one in added.remarks) is (scale != 1)


def test_a_flat_without_light_is_refused(tmp_path):
    cards = {"IMAGETYP": "Master Flat", "EXPTIME": 2.0, "FILTER": "R"}
    dark = write_foreign(tmp_path, "dark.fit", -make_flat_field(), **cards)
    assert "is lit" in add_to_library(tmp_path / "library", [dark])[0].reason


@pytest.mark.parametrize(
    ("level", "keeps", "said"),
    [
        (330.0, True, "it holds its bias (else --dark-bias subtracted)"),
        (30.0, False, "its bias is out (else --dark-bias kept)"),
        (200.0, None, ""),
    ],
)
def test_the_bias_of_its_camera_tells_whether_a_dark_holds_it(
    tmp_path, level, keeps, said
):
    cards = {"IMAGETYP": "Master Dark", "EXPTIME": 60.0}
    pixels = np.full(SHAPE, level, np.float32)
    dark = write_foreign(tmp_path, "MasterDark.fit", pixels, **cards)
    bias = write_foreign(tmp_path)
    added = add_to_library(tmp_path / "library", [dark, bias])
    assert [one.source for one in added] == [dark, bias]
    if keeps is None:
        assert "add the master bias of its camera too" in added[0].reason
        return
    assert any(said in remark for remark in added[0].remarks)
    table = read_library(tmp_path / "library").masters
    assert table.loc[table["imagetyp"] == "dark", "keeps_bias"].tolist() == [keeps]


def test_pixels_below_zero_tell_that_the_bias_of_a_dark_is_out(tmp_path):
    cards = {"IMAGETYP": "Master Dark", "EXPTIME": 60.0}
    pixels = np.random.default_rng(1).normal(3, 2, SHAPE).astype(np.float32)
    dark = write_foreign(tmp_path, "MasterDark.fit", pixels, **cards)
    (added,) = add_to_library(tmp_path / "library", [dark])
    assert "its bias is out" in " ".join(added.remarks)
    assert not read_library(tmp_path / "library").masters["keeps_bias"].item()


def test_scaled_values_and_overscan_of_other_programs_are_refused(tmp_path):
    scaled = write_foreign(tmp_path, "scaled.fit", np.full(SHAPE, 0.0045))
    margin = write_foreign(tmp_path, "margin.fit", BIASSEC="[57:64,1:48]")
    added = add_to_library(tmp_path / "library", [scaled, margin])
    assert "its program scaled them" in added[0].reason
    assert "nothing tells whether it was subtracted" in added[1].reason


def test_a_master_that_was_worked_on_is_another(reduced, library, tmp_path):
    """It is not known by what it was made from, and read as that of any program."""
    flat = next((reduced / "masters").glob("flat_*.fits"))
    invoke("arith", flat, "x", "0.5", "-o", tmp_path / "half.fits")
    (added,) = add_to_library(library, [tmp_path / "half.fits"])
    assert added.is_new
    assert not check_library(library)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_pixels_that_a_mask_beside_a_master_marks_have_no_value(tmp_path, dtype):
    path = write_foreign(tmp_path)
    mask = np.zeros(SHAPE, dtype)
    mask[3, 4] = 1
    fits.append(path, mask, fits.Header({"EXTNAME": "MASK"}))
    (added,) = add_to_library(tmp_path / "library", [path])
    data = fits.getdata(tmp_path / "library" / added.file)
    assert np.argwhere(np.isnan(data)).tolist() == [[3, 4]]


def test_the_way_out_for_scaled_values_leads_out(tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.normal(0.0045, 1e-4, SHAPE).astype(np.float32)
    scaled = write_foreign(tmp_path, "scaled.fit", pixels)
    (refused,) = add_to_library(tmp_path / "library", [scaled])
    assert "arith scaled.fit x 65535" in refused.reason
    invoke("arith", scaled, "x", "65535", "-o", tmp_path / "adu.fits")
    (added,) = add_to_library(tmp_path / "library", [tmp_path / "adu.fits"])
    assert added.is_new, added.reason


def test_a_master_of_the_observers_own_making_is_taken(tmp_path):
    for n in range(3):
        write_foreign(tmp_path, f"b{n}.fit", IMAGETYP="Bias Frame")
    invoke(
        "combine", tmp_path / "b?.fit", "-m", "mean", "-o", tmp_path / "mean_bias.fits"
    )
    (added,) = add_to_library(tmp_path / "library", [tmp_path / "mean_bias.fits"])
    assert added.is_new, added.reason


# ------------------------------------------------------------ the commands


def test_the_commands_add_list_and_check(reduced, tmp_path):
    option = ("--library", tmp_path / "library")
    assert "added: flat_R_1x1_2024-03-01.fits" in invoke(
        "library", "add", reduced, *option
    )
    assert "there already: flat_R" in invoke("library", "add", reduced, *option)
    assert "dark_60s_1x1_m10C_2024-03-01.fits" in invoke("library", "list", *option)
    rows = json.loads(invoke("library", "list", "--json", *option))
    assert {row["type"] for row in rows} == {"bias", "dark", "flat"}
    assert "4 masters, 0 problems" in invoke("library", "check", *option)
    (tmp_path / "library" / "flat_R_1x1_2024-03-01.fits").unlink()
    output = invoke("library", "check", "--rebuild", *option, code=1)
    assert "lost: the index lists it" in output
    assert "3 masters, 0 problems" in invoke("library", "check", *option)


def test_refused_masters_are_told_and_end_in_status_1(tmp_path):
    raw = write_frame(tmp_path, "bias.fit", "bias")
    output = invoke("library", "add", raw, "--library", tmp_path / "lib", code=1)
    assert "refused:" in output
    text = tmp_path / "notes.fits"
    text.write_text("no master")
    output = invoke("library", "add", text, "--library", tmp_path / "lib", code=1)
    assert f"refused: {text}: not FITS" in output


def test_the_library_is_found_by_its_environment_variable(
    library, tmp_path, monkeypatch
):
    monkeypatch.setenv("AUTOREDUCE_LIBRARY", str(library))
    lights = write_lights(tmp_path / "lights")
    invoke("plan", lights, "-q")
    table = read_frames_csv(tmp_path / "lights_reduced" / "frames.csv")
    assert table["bias"].str.startswith(str(library)).all()
    assert "(library): taken, level 1" in invoke("explain", lights / "light_0001.fit")


def test_a_master_in_the_nights_folder_is_pointed_to_the_library(tmp_path):
    lights = write_lights(tmp_path / "lights")
    write_foreign(lights, "MasterBias.fit")
    frames = prepare_night([lights]).frames.set_index("file")
    assert "autoreduce library add" in frames.loc["MasterBias.fit", "why_not"]
