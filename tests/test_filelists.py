"""Lists of files: names, globs, commas, HDUs, natural order; and names of products."""

import errno
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_files import command, write_fits

from autoreduce.errors import InputError, ProductError
from autoreduce.tools.expression import Images, Number, Operation, parse
from autoreduce.tools.filelists import expand, natural_key
from autoreduce.tools.files import output_names, replacing
from autoreduce.tools.regions import region_of_bounds, region_of_text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.1.fit", "a.2.fit", "a.10.fit", "b,c.fit", "b.fits", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a.*.fit"], ["a.1.fit", "a.2.fit", "a.10.fit"]),
        (["a.10.fit,a.[12].fit"], ["a.10.fit", "a.1.fit", "a.2.fit"]),
        (["a.[1,2].fit"], ["a.1.fit", "a.2.fit"]),
        (["a.2.fit", "a.1.fit"], ["a.2.fit", "a.1.fit"]),
        (["b,c.fit"], ["b,c.fit"]),
        (["a.1.fit, b.fits"], ["a.1.fit", "b.fits"]),
        (["b.fits[1]"], ["b.fits[1]"]),
        (["a.?.fit[2]"], ["a.1.fit[2]", "a.2.fit[2]"]),
        (["a.1.fit,a.*.fit"], ["a.1.fit", "a.2.fit", "a.10.fit"]),
        (["."], ["a.1.fit", "a.2.fit", "a.10.fit", "b,c.fit", "b.fits"]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_patterns_stand_for_files(patterns, expected):
    assert expand(patterns) == expected


def test_folders_and_all_below_them_can_be_meant(folder):
    (folder / "night" / "deep").mkdir(parents=True)
    for name in ("night/n.2.fit", "night/n.10.FIT", "night/deep/d.fits.fz"):
        (folder / name).touch()
    assert expand(["nigh*"]) == ["night/n.2.fit", "night/n.10.FIT"]
    assert expand(["night/**/*.f*"]) == ["night/deep/d.fits.fz", "night/n.2.fit"]


@pytest.mark.usefixtures("folder")
def test_a_list_may_repeat_a_file_where_that_is_meant():
    assert expand(["a.1.fit,a.1.fit"], repeats=True) == ["a.1.fit", "a.1.fit"]


def test_an_image_counts_once_by_whatever_path_it_is_named(folder):
    named = ["a.1.fit", f"{folder}/a.1.fit", "./a.1.fit", "b.fits[1]", "./b.fits[1]"]
    assert expand(named) == ["a.1.fit", "b.fits[1]"]
    assert expand(["b.fits", "b.fits[1]"]) == ["b.fits", "b.fits[1]"]


@pytest.mark.parametrize("name", ["", " ", ",", "a.1.fit,", "a.1.fit,,b.fits"])
@pytest.mark.usefixtures("folder")
def test_an_empty_name_stands_for_no_file(name):
    with pytest.raises(InputError, match="holds an empty name"):
        expand([name])


def test_a_broken_link_is_listed_and_told_when_it_is_read(folder):
    write_fits(folder / "good.fit", np.ones((2, 2)))
    (folder / "gone.fit").symlink_to("nowhere")
    assert expand(["go*.fit"]) == ["gone.fit", "good.fit"]
    told = command("stats", "go*.fit", fails=True)
    assert "good.fit" in told
    assert "gone.fit: cannot be read: a broken link to nowhere" in told
    assert "a broken link to nowhere" in command("log", "gone.fit", fails=True)


@pytest.mark.usefixtures("folder")
def test_a_pattern_without_files_names_the_nearest():
    with pytest.raises(InputError, match=r"a\.11\.fit matches no file.*a\.1\.fit"):
        expand(["a.11.fit"])


@given(st.lists(st.integers(0, 10**6), min_size=2, unique=True), st.randoms())
def test_numbers_in_names_sort_as_numbers(numbers, shuffler: random.Random):
    names = [f"frame{n}.fit" for n in sorted(numbers)]
    mixed = list(names)
    shuffler.shuffle(mixed)
    assert sorted(mixed, key=natural_key) == names


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_names_can_be_sorted(names):
    assert sorted(sorted(names), key=natural_key) == sorted(names, key=natural_key)


@pytest.mark.parametrize(
    ("image", "output", "product"),
    [
        ("20210227.0041.fit", "bsub", "bsub.0041.fit"),
        ("raw/20210227.0041.fit", "out/bsub", "out/bsub.0041.fit"),
        ("bsub.0001.fit", "dbsub", "dbsub.0001.fit"),
        ("light_001.fits", "bsub", "bsub.light_001.fits"),
        ("x.00000003.DARK.FIT", "bsub", "bsub.00000003.DARK.FIT"),
        ("raw/a.1.fits.gz", "out/", "out/a.1.fits"),
        ("m.fits[2]", "cut", "cut.m.2.fits"),
        ("a.fit", "b.fit", "b.fit"),
    ],
)
def test_a_root_takes_the_place_of_what_stands_before_the_number(
    image, output, product
):
    assert [str(path) for path in output_names([image], [output])] == [product]


def test_there_are_as_many_names_as_images():
    with pytest.raises(ProductError, match="3 output names for 2 images"):
        output_names(["a.fit", "b.fit"], ["1.fit", "2.fit", "3.fit"])
    with pytest.raises(ProductError, match=r"leave \.gz out, and pack the file"):
        output_names(["a.fit", "b.fit"], ["1.fit", "2.fit.gz"])
    with pytest.raises(ProductError, match="both be written"):
        output_names(["a/1.fit", "b/1.fit"], ["x"])


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "product.txt"
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text(f"half {1 / 0}")
    assert list(tmp_path.iterdir()) == []
    with replacing(path) as part:
        part.write_text("whole")
    assert path.read_text() == "whole"
    with pytest.raises(ProductError, match="exists"), replacing(path):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["product.txt"]


@pytest.mark.parametrize(
    ("words", "tree"),
    [
        (["a.fit", "-", "b.fit"], ("-", "a.fit", "b.fit")),
        (["a.fit", "x", "-3"], ("x", "a.fit", -3)),
        (["a - b / c"], ("-", "a", ("/", "b", "c"))),
        (["(a - b) / c"], ("/", ("-", "a", "b"), "c")),
        (["a - b - c"], ("-", ("-", "a", "b"), "c")),
        (["a", "-", "(b", "+", "2.5)"], ("-", "a", ("+", "b", 2.5))),
        (["- a * 2"], ("x", ("-", 0, "a"), 2)),
        (["frame(1).fit", "+", "1e3"], ("+", "frame(1).fit", 1000.0)),
        (["'my dark.fit' / 2"], ("/", "my dark.fit", 2)),
        (["a-b/c.fit", "=", "0"], ("=", "a-b/c.fit", 0)),
    ],
)
def test_expressions_are_read_by_precedence(words, tree):
    assert parse(words) == make_tree(tree)


def make_tree(tree):
    if isinstance(tree, tuple):
        return Operation(tree[0], make_tree(tree[1]), make_tree(tree[2]))
    return Images((tree,)) if isinstance(tree, str) else Number(tree)


def test_images_side_by_side_are_a_list():
    tree = parse(["a.1.fit", "a.2.fit", "-", "bias.fit"])
    assert tree == Operation("-", Images(("a.1.fit", "a.2.fit")), Images(("bias.fit",)))


@pytest.mark.parametrize(
    "text", ["a -", "+ a", "a - ( b", "a b ) - c", "2 3 + a", "( )"]
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(InputError, match="expected"):
        parse(text.split())


def test_a_section_is_the_same_in_both_notations():
    zero_based = region_of_bounds((600, 1100, 400, 700))
    assert zero_based == region_of_text("[601:1100,401:700]")
    assert zero_based.text == "[601:1100,401:700]"
    cube = region_of_bounds((0, 2, 0, 3, 1, 4))
    assert cube == region_of_text("[1:2,1:3,2:4]")
    assert cube.slices((5, 3, 2), "cube") == (slice(1, 4), slice(0, 3), slice(0, 2))


def test_a_section_outside_of_the_image_is_refused():
    with pytest.raises(InputError, match=r"does not lie within x\.fit, which is 4 x 3"):
        region_of_bounds((0, 5, 0, 3)).slices((3, 4), "x.fit")
    with pytest.raises(InputError, match="empty"):
        region_of_bounds((5, 5, 0, 3))


def test_a_list_names_a_pattern_in_each_line(folder):
    lines = "\ufeff# flats of the night\nb.fits\n\na.1?.fit, a.2.fit\r\nb,c.fit\n"
    (folder / "flats.lst").write_text(lines, "utf-8")
    expected = ["a.1.fit", "b.fits", "a.10.fit", "a.2.fit", "b,c.fit"]
    assert expand(["a.1.fit", "@flats.lst"]) == expected
    (folder / "@flats.lst").touch()
    assert expand(["@flats.lst"]) == ["@flats.lst"], "a file of this name comes first"


@pytest.mark.usefixtures("folder")
def test_a_list_that_is_not_there_is_named():
    with pytest.raises(
        InputError, match=r"the list of files no\.lst cannot be read: No"
    ):
        expand(["@no.lst"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"SIMPLE  =                    T", "is no list of files: @ stands before"),
        (b"\0\1\2", "is no list of files: @ stands before"),
        (b"# nothing yet\n\n", "names none"),
    ],
)
def test_what_is_no_list_of_files_is_refused(folder, text, why):
    (folder / "it.lst").write_bytes(text)
    with pytest.raises(InputError, match=why):
        expand(["@it.lst"])


@pytest.mark.parametrize("behind", ["[1:100,1:100]", "[SCI,1]", "[SCI]"])
@pytest.mark.usefixtures("folder")
def test_brackets_that_hold_no_number_are_not_taken_for_a_missing_file(behind):
    with pytest.raises(InputError, match=r"b\.fits is there, .* an HDU.* --section"):
        expand([f"b.fits{behind}"])


@pytest.mark.parametrize("pattern", ["night", "night/a.fit", "night/*.fit"])
def test_a_folder_that_may_not_be_looked_into_is_named(folder, monkeypatch, pattern):
    (folder / "night").mkdir()

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="folder night cannot be read: Permission den"):
        expand([pattern])
