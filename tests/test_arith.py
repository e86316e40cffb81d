"""Arithmetic of images against numpy, and errors against their theory."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    StdDevUncertainty,
    VarianceUncertainty,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tool_files import command, real_night, write_fits

from autoreduce.errors import InputError, ProductError
from autoreduce.fits.writer import write_image
from autoreduce.tools.arith import compute, plan_arithmetic, run_step
from autoreduce.tools.expression import Images, parse
from autoreduce.tools.headers import read_facts
from autoreduce.tools.products import Image, product_cards, read_image
from autoreduce.tools.regions import region_of_bounds, region_of_text
from autoreduce.tools.stats import image_statistics

RNG = np.random.default_rng(20210227)


def make_image(data, name="a.fit", uncert=None, mask=None):
    data = np.asarray(data)
    uncert = None if uncert is None else np.broadcast_to(np.float32(uncert), data.shape)
    return Image(name, data, (), uncert, mask)


def evaluate(text, region=None, trim=False, **images):
    """Compute an expression whose operands are named by single letters."""
    known = {
        Images((name,)): image if isinstance(image, Image) else make_image(image, name)
        for name, image in images.items()
    }
    return compute(parse([text]), known, region=region, trim=trim)


integers = arrays(np.uint16, (2, 3), elements=st.integers(0, 65535))


@given(integers, integers)
def test_unsigned_integers_never_wrap_around(a, b):
    wide_a, wide_b = a.astype(object), b.astype(object)
    for operator, expected in (
        ("+", wide_a + wide_b),
        ("-", wide_a - wide_b),
        ("x", wide_a * wide_b),
    ):
        result = evaluate(f"a {operator} b", a=a, b=b).data
        assert (result.astype(object) == expected).all()


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("a - b", np.int32),
        ("a + b", np.int32),
        ("a x b", np.uint32),
        ("a x 1", np.uint16),
        ("a / b", np.float32),
        ("a - f", np.float32),
        ("a x 0.5", np.float32),
        ("i - i", np.int64),
        ("i / a", np.float64),
        ("i x i x i", np.float64),
        ("d - a", np.float64),
        ("a = 0", np.uint16),
        ("a = -1", np.int32),
    ],
)
def test_the_result_has_the_smallest_type_that_holds_it(text, dtype):
    one = np.ones((2, 2))
    types = {"a": np.uint16, "b": np.uint16, "f": np.float32, "i": np.int32, "d": float}
    images = {name: one.astype(kind) for name, kind in types.items()}
    used = {name: image for name, image in images.items() if name in text.split()}
    assert evaluate(text, **used).data.dtype == dtype


def test_a_chain_is_worked_out_by_precedence():
    a, b, c = (RNG.uniform(1, 9, (3, 4)).astype(np.float32) for _ in range(3))
    wide = a.astype(float), b.astype(float), c.astype(float)
    expected = (wide[0] - wide[1]) / wide[2] + 2 * wide[0]
    result = evaluate("(a - b) / c + 2 x a", a=a, b=b, c=c).data
    np.testing.assert_array_equal(result, expected.astype(np.float32))


def test_division_by_zero_is_nan_and_counted():
    result = evaluate("a / b", a=[[1.0, 0.0, 4.0]], b=[[0.0, 0.0, 2.0]])
    np.testing.assert_array_equal(result.data, [[np.nan, np.nan, 2.0]])
    assert result.n_undefined == 2


def test_a_cube_meets_an_image_plane_by_plane():
    cube, image = RNG.normal(size=(3, 4, 5)), RNG.normal(size=(4, 5))
    np.testing.assert_array_equal(evaluate("c - i", c=cube, i=image).data, cube - image)
    np.testing.assert_array_equal(evaluate("i - c", c=cube, i=image).data, image - cube)


def test_images_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="is 3x2 pixels and a is 3x3"):
        evaluate("a - b", a=np.ones((3, 3)), b=np.ones((2, 3)))
    with pytest.raises(InputError, match="pixels"):
        evaluate("a - b", a=np.ones((2, 3, 3)), b=np.ones((1, 3, 3)))


def test_outside_of_a_section_the_first_image_stays():
    image = np.arange(20, dtype=np.uint16).reshape(4, 5)
    region = region_of_bounds((1, 3, 2, 4))
    expected = image.astype(np.int32)
    expected[2:4, 1:3] -= 100
    result = evaluate("a - 100", region, a=image)
    np.testing.assert_array_equal(result.data, expected)
    trimmed = evaluate("a - 100", region, trim=True, a=image)
    np.testing.assert_array_equal(trimmed.data, expected[2:4, 1:3])


def test_an_image_of_the_section_s_size_is_taken_whole():
    image, patch = np.zeros((4, 5)), np.ones((2, 2))
    result = evaluate("a + p", region_of_bounds((1, 3, 2, 4)), a=image, p=patch).data
    assert result.sum() == 4
    assert result[2:4, 1:3].sum() == 4


def test_a_section_of_a_cube_takes_some_planes():
    cube = np.zeros((3, 4, 5), np.uint16)
    result = evaluate("c = 7", region_of_bounds((0, 2, 0, 1, 1, 3)), c=cube).data
    assert result.dtype == np.uint16
    assert np.argwhere(result == 7).tolist() == [
        [z, 0, x] for z in (1, 2) for x in (0, 1)
    ]


@pytest.mark.parametrize("operator", ["+", "-", "x", "/"])
def test_errors_agree_with_those_of_astropy(operator):
    a, b = RNG.uniform(50, 100, (2, 3)), RNG.uniform(5, 10, (2, 3))
    ccd = [
        CCDData(data, uncertainty=StdDevUncertainty(np.full((2, 3), error)), unit="adu")
        for data, error in ((a, 3.0), (b, 0.5))
    ]
    names = {"+": "add", "-": "subtract", "x": "multiply", "/": "divide"}
    expected = getattr(ccd[0], names[operator])(ccd[1]).uncertainty.array
    result = evaluate(
        f"a {operator} b",
        a=make_image(a, "a", 3.0),
        b=make_image(b, "b", 0.5),
    )
    np.testing.assert_allclose(result.uncert, expected, rtol=1e-6)


def test_an_image_is_not_independent_of_itself():
    image = make_image(np.full((2, 2), 10.0), "a", 3.0)
    assert not evaluate("a - a", a=image).uncert.any()
    np.testing.assert_allclose(evaluate("a + a", a=image).uncert, 6.0)
    np.testing.assert_allclose(evaluate("a x a", a=image).uncert, 60.0)
    assert not evaluate("a = 5", a=image).uncert.any()


def test_the_propagated_error_predicts_the_scatter():
    """Pulls of a reduced frame made of noisy ones have unit width."""
    shape, errors = (200, 200), {"a": 20.0, "b": 3.0, "f": 0.01}
    truth = {"a": 5000.0, "b": 300.0, "f": 0.8}
    images = {
        name: make_image(
            RNG.normal(truth[name], errors[name], shape), name, errors[name]
        )
        for name in truth
    }
    result = evaluate("(a - b) / f", **images)
    pull = (result.data - (5000 - 300) / 0.8) / result.uncert
    assert np.std(pull) == pytest.approx(1.0, abs=0.03)


def test_masks_are_joined():
    mask = np.array([[True, False]])
    other = np.array([[False, False]])
    a, b = make_image([[1.0, 2.0]], "a", mask=mask), make_image([[1.0, 2.0]], "b")
    np.testing.assert_array_equal(evaluate("b - a", a=a, b=b).mask, mask)
    c = make_image([[1.0, 2.0]], "c", mask=other)
    np.testing.assert_array_equal(evaluate("a + c", a=a, c=c).mask, mask)
    assert evaluate("a = 0", a=a).mask is None


@pytest.fixture
def frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in (1, 2, 3):
        pixels = np.full((4, 5), 100 * n, np.uint16)
        write_fits(tmp_path / f"raw.000{n}.fit", pixels, OBJECT="M 13", SATURATE=60000)
    write_fits(tmp_path / "bias.fit", np.full((4, 5), 101.5, np.float32))
    return tmp_path


def test_a_list_meets_an_image_and_a_root_names_the_products(frames):
    output = command("arith", "raw.*.fit", "-", "bias.fit", "-o", "bsub")
    assert "raw.0002.fit - bias.fit -> bsub.0002.fit" in output
    with fits.open("bsub.0002.fit", checksum=True) as hdus:
        hdus.verify("exception")
        assert (hdus[0].data == 98.5).all()
        header = hdus[0].header
    assert header["OBJECT"] == "M 13"
    assert header["ARITHMET"] == "raw.0002.fit - bias.fit"
    assert header["NDIVZERO"] == 0
    assert "raw.0002.fit - bias.fit" in " ".join(header["HISTORY"])
    assert not {"BZERO", "SATURATE"} & set(header)


def test_a_list_that_the_shell_expanded_is_the_same(frames):
    names = [f"raw.000{n}.fit" for n in (1, 2, 3)]
    command("arith", *names, "-", "bias.fit", "-o", "bsub")
    assert (fits.getdata("bsub.0003.fit") == 198.5).all()


def test_two_lists_are_paired(frames):
    command(
        "arith", "raw.*.fit", "-", "raw.0003.fit,raw.0002.fit,raw.0001.fit", "-o", "d"
    )
    values = [fits.getdata(f"d.000{n}.fit")[0, 0] for n in (1, 2, 3)]
    assert values == [-200, 0, 200]


def test_names_can_be_given_one_by_one(frames):
    command("arith", "raw.*.fit", "x", "2", "-o", "a.fit,b.fit,c.fit")
    assert (fits.getdata("c.fit") == 600).all()


def test_lists_of_different_lengths_are_refused(frames):
    node = parse(["raw.*.fit", "-", "raw.000[12].fit"])
    with pytest.raises(InputError, match="equally long"):
        plan_arithmetic(node, ["x"])


def test_negative_numbers_and_unknown_options_are_told_apart(frames):
    command("arith", "raw.0001.fit", "x", "-2", "-o", "m.fit")
    assert (fits.getdata("m.fit") == -200).all()
    assert "No such option" in command(
        "arith", "raw.0001.fit", "--overwite", "-o", "m.fit", fails=True
    )


@pytest.mark.parametrize("name", ["b.2.fit", "./b.2.fit", "../{0}/b.2.fit"])
def test_an_image_is_not_written_before_a_later_step_reads_it(frames, name):
    for n in (1, 2):
        write_fits(frames / f"b.{n}.fit", np.full((2, 2), n, np.uint16))
    words = ("b.1.fit,b.2.fit", "+", "10", "-o")
    names = f"{name.format(frames.name)},c.fit"
    told = command("arith", *words, names, "--overwrite", fails=True)
    assert "would be written before a later step reads it" in told
    assert (fits.getdata("b.2.fit") == 2).all()
    command("arith", *words, "b.1.fit,b.2.fit", "--overwrite")
    assert [fits.getdata(f"b.{n}.fit")[0, 0] for n in (1, 2)] == [11, 12]


def test_a_dry_run_writes_nothing(frames):
    before = sorted(frames.iterdir())
    output = command("arith", "raw.*.fit", "-", "bias.fit", "-o", "bsub", "-n")
    assert output.count("->") == 3
    assert sorted(frames.iterdir()) == before


def test_a_product_is_not_overwritten_unless_told(frames):
    words = ("arith", "raw.0001.fit", "+", "1", "-o", "bias.fit")
    assert "exists" in command(*words, fails=True)
    command(*words, "--overwrite")
    assert (fits.getdata("bias.fit") == 101).all()


def test_a_trimmed_product_keeps_its_coordinates(frames):
    image = np.zeros((20, 30), np.float32)
    write_fits(frames / "w.fit", image, CRPIX1=15.5, CRPIX2=10.0, TRIMSEC="[1:30,1:20]")
    words = ("--section", "[11:20,6:15]", "--trim", "-o", "cut.fit")
    command("arith", "w.fit", "+", "0", *words)
    header = fits.getheader("cut.fit")
    assert (header["NAXIS1"], header["NAXIS2"]) == (10, 10)
    assert (header["CRPIX1"], header["CRPIX2"]) == (5.5, 5.0)
    assert header["ARITHSEC"] == "[11:20,6:15]"
    assert "TRIMSEC" not in header


def test_planes_are_read_and_written_as_ccddata_has_them(tmp_path):
    ccd = CCDData(
        np.full((3, 4), 50.0),
        uncertainty=StdDevUncertainty(np.full((3, 4), 4.0)),
        mask=np.eye(3, 4, dtype=bool),
        unit="adu",
    )
    ccd.write(tmp_path / "ccd.fits")
    node = parse([str(tmp_path / "ccd.fits"), "/", "2"])
    (step,) = plan_arithmetic(node, [str(tmp_path / "half.fits")])
    run_step(node, step)
    half = CCDData.read(tmp_path / "half.fits")
    np.testing.assert_array_equal(half.data, 25.0)
    np.testing.assert_array_equal(half.uncertainty.array, 2.0)
    np.testing.assert_array_equal(half.mask, ccd.mask)


def test_flags_keep_their_meaning(tmp_path):
    data, mask = np.ones((1, 3)), np.array([[0, 2, 4]], np.uint8)
    write_image(tmp_path / "a.fits", data, [], planes={"MASK": mask})
    other = np.array([[7, 0, 0]], np.int32)
    write_image(tmp_path / "b.fits", data, [], planes={"MASK": other})
    node = parse([f"{tmp_path}/a.fits", "+", f"{tmp_path}/b.fits"])
    (step,) = plan_arithmetic(node, [str(tmp_path / "sum.fits")])
    run_step(node, step)
    found = fits.getdata(tmp_path / "sum.fits", extname="MASK")
    assert found.dtype == np.uint8
    assert found.tolist() == [[1, 2, 4]]


def test_planes_of_a_compressed_file_are_found(tmp_path):
    extensions = [
        fits.ImageHDU(np.full((3, 4), 2.0), name="UNCERT"),
        fits.ImageHDU(np.eye(3, 4, dtype=np.uint8), name="MASK"),
    ]
    hdus = fits.HDUList([fits.PrimaryHDU(np.ones((3, 4))), *extensions])
    hdus.writeto(tmp_path / "a.fits.gz")
    image = read_image(str(tmp_path / "a.fits.gz"))
    np.testing.assert_array_equal(image.uncert, 2.0)
    np.testing.assert_array_equal(image.mask, np.eye(3, 4, dtype=bool))


@pytest.mark.parametrize(
    "dtype",
    [
        "uint8",
        "int8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float32",
        "float64",
    ],
)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_every_type_of_image_is_written_so_that_astropy_reads_it(
    tmp_path, dtype, shape
):
    path = tmp_path / "x.fits"
    limits = np.iinfo(dtype) if dtype[0] in "ui" else np.finfo(dtype)
    data = np.zeros(shape, dtype)
    data.flat[0], data.flat[-1] = limits.min, limits.max
    write_image(path, data, product_cards([], {}, ["made for a test"]))
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[0].data, data)
        assert hdus[0].data.dtype.newbyteorder("=") == dtype
    np.testing.assert_array_equal(read_image(str(path)).data, data)


def test_a_disk_that_is_full_leaves_nothing(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    with pytest.raises(ProductError, match="cannot be written"):
        write_image(folder / "x.fits", np.zeros((2, 2)), [])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_real_frames_agree_with_numpy(tmp_path, tmp_path_factory):
    night = real_night("kast_blue_spectra", tmp_path_factory)
    light, bias, flat = (night / f"{name}.fits.gz" for name in ("b27", "b21", "b11"))
    words = (f"({light}", "-", f"{bias})", "/", flat)
    command("arith", *words, "-o", tmp_path / "q.fit")
    a, b, c = (fits.getdata(path).astype(float) for path in (light, bias, flat))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(c == 0, np.nan, (a - b) / c)
    np.testing.assert_array_equal(
        fits.getdata(tmp_path / "q.fit"), expected.astype(np.float32)
    )
    command("arith", light, "-", bias, "-o", tmp_path / "d.fit")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "d.fit"), a - b)


def test_a_real_compressed_mosaic_agrees_with_astropy(tmp_path, tmp_path_factory):
    night = real_night("colour_lights", tmp_path_factory)
    image = night / "solved.fits.fz"
    command(
        "arith",
        image,
        "x",
        "2",
        "-o",
        tmp_path / "x.fit",
        "--section",
        "[11:30,5:9]",
        "--trim",
    )
    data = fits.getdata(image).astype(float)
    np.testing.assert_array_equal(
        fits.getdata(tmp_path / "x.fit"), 2 * data[4:9, 10:30]
    )
    assert region_of_text("[11:30,5:9]") == region_of_bounds((10, 30, 4, 9))


def count_reads(monkeypatch):
    """Note the name of each image that is read from now on."""
    import autoreduce.tools.arith as tool

    names, read = [], tool.read_image

    def counted(name):
        names.append(name)
        return read(name)

    monkeypatch.setattr(tool, "read_image", counted)
    return names


@pytest.mark.parametrize(
    ("words", "n_files"),
    [
        (("a.fit,b.fit,c.fit", "-", "d.fit", "-o", "out"), 4),
        (("a.fit,b.fit,a.fit", "-", "d.fit", "-o", "x.fit,y.fit,z.fit"), 3),
        (("a.fit,b.fit", "-", "b.fit,a.fit", "-o", "x.fit,y.fit"), 2),
        (("a.fit", "-", "a.fit", "x", "0.5", "-o", "x.fit"), 1),
    ],
)
def test_each_file_is_read_once_for_an_expression(
    tmp_path, monkeypatch, words, n_files
):
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        write_fits(tmp_path / f"{name}.fit", np.ones((3, 4), np.int16))
    read = count_reads(monkeypatch)
    command("arith", *words)
    assert len(read) == len(set(read)) == n_files


def test_what_comes_no_more_is_not_held(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "d"):
        write_fits(tmp_path / f"{name}.fit", np.ones((3, 4), np.int16))
    node = parse(["a.fit,b.fit", "-", "d.fit"])
    known = {}
    first, second = plan_arithmetic(node, ["out"])
    run_step(node, first, known=known)
    assert set(known) == {"d.fit"}
    run_step(node, second, known=known)
    assert known == {}


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, 1), (3, 5), (2, 4)])
def test_a_trimmed_mosaic_keeps_its_colours(tmp_path, monkeypatch, x, y):
    monkeypatch.chdir(tmp_path)
    mosaic = np.tile(np.array([[1, 2], [3, 4]], np.uint16), (6, 6))
    write_fits(tmp_path / "b.fit", mosaic, BAYERPAT="GRBG", XBAYROFF=1)  # begins with R
    bounds = ("-b", x, x + 6, y, y + 6)
    command("arith", "b.fit", "+", "0", *bounds, "--trim", "-o", "t.fit")
    parts = image_statistics("t.fit", ["min", "max"], per_colour=True)
    found = {part.colour: {*part.values.values()} for part in parts}
    assert (found["R"], found["B"]) == ({1.0}, {4.0})
    assert found["G1"] | found["G2"] == {2.0, 3.0}


# ---------------------------------------------------------------- what is told


def header_of(*words):
    command("arith", *words, "-o", "out.fit", "--overwrite")
    return fits.getheader("out.fit")


def test_the_program_of_a_camera_is_kept_since_its_header_is_read_by_it(
    tmp_path, monkeypatch
):
    """Nebulosity tells exposures in ms: EXPMS = 60000 is a minute."""
    monkeypatch.chdir(tmp_path)
    data = np.ones((4, 5), np.uint16)
    write_fits(tmp_path / "a.fit", data, CREATOR="Nebulosity 4.1", EXPMS=60000)
    header = header_of("a.fit", "+", "1")
    assert header["CREATOR"] == "Nebulosity 4.1"
    assert header["SWMODIFY"].startswith("autoreduce")
    assert read_facts("out.fit").number("exptime") == 60
    command("arith", "out.fit", "x", "2", "-o", "twice.fit")
    assert fits.getheader("twice.fit")["CREATOR"] == "Nebulosity 4.1"
    assert read_facts("twice.fit").number("exptime") == 60


@pytest.mark.parametrize(
    ("words", "egain"),
    [
        (("a.fit", "x", "2"), 0.75),
        (("0.5", "x", "(a.fit", "-", "3)", "/", "4"), 12.0),
        (("a.fit", "-", "a.fit"), 1.5),
        (("a.fit", "/", "a.fit"), 1.5),
        (("-", "a.fit"), 1.5),
        (("a.fit", "=", "7"), 1.5),
        (("a.fit", "x", "(2", "+", "3)"), 0.3),
        (("a.fit", "/", "(2", "x", "2)"), 6.0),
        (("a.fit", "x", "-1"), 1.5),
        (("a.fit", "/", "(a.fit", "x", "3)"), 4.5),
        (("a.fit", "x", "0"), 1.5),
        (("a.fit", "/", "(1", "-", "1)"), 1.5),
    ],
)
def test_the_gain_goes_with_the_factor_on_the_pixels(
    tmp_path, monkeypatch, words, egain
):
    monkeypatch.chdir(tmp_path)
    write_fits(tmp_path / "a.fit", np.ones((4, 5), np.uint16), EGAIN=1.5)
    assert header_of(*words)["EGAIN"] == egain


def test_numbers_of_the_input_are_not_told_of_the_product(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    light = {
        "SKYLEVEL": 5.0,
        "SKYNOISE": 1.0,
        "STARFLUX": 9.0,
        "FILE0003": "x",
        "SATURATE": 9,
    }
    master = {
        "CREATOR": "autoreduce 0.1.0",
        "DIGEST": "ab",
        "GROUP": "flat_V",
        "LEVEL": 1.0,
    }
    write_fits(
        tmp_path / "a.fit",
        np.ones((4, 5)),
        STMEAN=1.0,
        ARITHSEC="[1:2]",
        **light,
        **master,
    )
    header = header_of("a.fit", "x", "2")
    gone = {"STMEAN", "ARITHSEC", *light, "DIGEST", "GROUP", "LEVEL"}
    assert not gone & set(header)
    assert header["CREATOR"].startswith("autoreduce")


def test_whole_numbers_and_large_ones_are_kept_in_double_precision():
    a = np.ones((2, 2), np.float32)
    assert evaluate("a = 16777217.0", a=a).data[0, 0] == 16777217
    assert evaluate("a x 1e39", a=a).data[0, 0] == 1e39
    assert evaluate("a x 0.1", a=a).data.dtype == np.float32


def test_values_too_large_are_counted():
    a = np.array([[1e30, 1.0, np.inf]], np.float32)
    result = evaluate("a x a", a=a)
    assert result.n_overflown == 1
    np.testing.assert_array_equal(np.isinf(result.data), [[True, False, True]])


def test_values_too_large_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fits(tmp_path / "a.fit", np.full((2, 2), 1e30, np.float32))
    told = command("arith", "a.fit", "x", "a.fit", "-o", "out.fit")
    assert "(4 values too large, infinite)" in told
    assert fits.getheader("out.fit")["NOVERFLO"] == 4


@pytest.mark.parametrize(
    ("kind", "written"),
    [(VarianceUncertainty, 9.0), (InverseVariance, 1 / 9), (StdDevUncertainty, 3.0)],
)
def test_errors_of_any_kind_are_one_sigma(tmp_path, kind, written):
    ccd = CCDData(
        np.ones((3, 4)), unit="adu", uncertainty=kind(np.full((3, 4), written))
    )
    ccd.write(tmp_path / "a.fits")
    np.testing.assert_allclose(read_image(str(tmp_path / "a.fits")).uncert, 3.0)


def test_errors_of_unknown_kind_are_refused(tmp_path):
    ccd = CCDData(
        np.ones((3, 4)), unit="adu", uncertainty=StdDevUncertainty(np.ones((3, 4)))
    )
    ccd.write(tmp_path / "a.fits")
    fits.setval(tmp_path / "a.fits", "UTYPE", value="Percent", ext=1)
    with pytest.raises(InputError, match="UTYPE = Percent"):
        read_image(str(tmp_path / "a.fits"))


def test_an_extension_has_the_cards_of_the_primary_header_that_it_lacks(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = fits.PrimaryHDU()
    first.header["EXPTIME"], first.header["OBJECT"] = 30.0, "M 13"
    image = fits.ImageHDU(np.ones((4, 5)))
    image.header["OBJECT"] = "M 51"
    fits.HDUList([first, image]).writeto("a.fits")
    header = header_of("a.fits", "x", "2")
    assert (header["EXPTIME"], header["OBJECT"], header["NAXIS"]) == (30, "M 51", 2)


def test_the_first_hdu_that_is_named_has_its_planes(tmp_path):
    write_image(
        tmp_path / "a.fits",
        np.ones((3, 4), np.float32),
        [],
        planes={"UNCERT": np.ones((3, 4), np.float32)},
    )
    assert read_image(f"{tmp_path}/a.fits[0]").uncert is not None


def test_planes_of_a_cube_are_cut_before_sizes_are_held_together():
    cube, other = np.arange(60.0).reshape(3, 4, 5), np.ones((3, 4, 5))
    region = region_of_bounds((0, 5, 0, 4, 1, 2))
    found = evaluate("c - d", region, True, c=cube, d=other).data
    np.testing.assert_array_equal(found, cube[1:2] - 1)
    whole = evaluate(
        "c - i", region_of_bounds((0, 2, 0, 2, 1, 2)), True, c=cube, i=np.ones((4, 5))
    )
    np.testing.assert_array_equal(whole.data, cube[1:2, :2, :2] - 1)


def test_a_section_tells_where_on_the_sensor_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fits(
        tmp_path / "a.fit", np.ones((20, 20), np.uint16), XORGSUBF=10, YORGSUBF=20
    )
    header = header_of("a.fit", "+", "1", "-b", "5", "15", "6", "15", "--trim")
    assert (header["XORGSUBF"], header["YORGSUBF"]) == (15, 26)


def test_infinite_pixels_raise_no_warnings(recwarn):
    image = np.array([[1.0, np.inf, np.nan, 1e300]])
    for text in ("a - a", "a / a", "a x a"):
        evaluate(text, a=image)
    assert not recwarn.list


def test_an_operator_without_blanks_is_told(frames):
    message = command("arith", "bias.fit-bias.fit", "-o", "c.fit", fails=True)
    assert "operators stand between blanks: bias.fit - bias.fit" in message
    message = command("arith", "none.fit-bias.fit", "-o", "c.fit", fails=True)
    assert "blanks" not in message
