"""The report in a browser: it sorts, filters, copies a flag, and no script fails."""

import json
import shlex
import shutil

import pytest
from click.testing import CliRunner
from small_night import write_frame, write_night

from autoreduce.cli import cli
from autoreduce.frames.overrides import read_frames_csv
from autoreduce.reduction import reduce_night

api = pytest.importorskip(
    "playwright.sync_api", reason="no browser to drive: pip install playwright"
)
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium or Chrome is installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    night = write_night(tmp_path_factory.mktemp("browser") / "night")
    for n, through in enumerate("VVR"):
        name = f"light, it's {n}.fit" if n == 2 else f"light_1{n:03d}.fit"
        write_frame(night, name, "light", 60.0, FILTER=through, AIRMASS=1.1 + n / 10)
    return reduce_night(night).folder


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def page(browser, folder, request):
    """Open the report from its file, without a network; errors fail the test."""
    context = browser.new_context(color_scheme=request.param, offline=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: told.type == "error" and errors.append(told.text))
    page.goto((folder / "report.html").as_uri())
    yield page
    assert errors == []
    context.close()


def column(page, name):
    """Read what a column of the frame table is sorted by, from the top."""
    return page.evaluate(
        """(name) => {
            const table = document.getElementById("frame-table");
            const cells = [...table.tHead.rows[0].cells];
            const at = cells.findIndex((cell) => cell.dataset.name === name);
            const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
            return rows.map((row) => row.cells[at].dataset.v);
        }""",
        name,
    )


@pytest.mark.parametrize("name", ["median", "airmass"])
def test_a_column_is_sorted_by_its_numbers(page, name):
    heading = page.locator(f"#frame-table th[data-name={name}] button")
    heading.click()
    values = column(page, name)
    known = [float(value) for value in values if value]
    assert len(known) >= 3
    assert known == sorted(known)
    assert values == [value for value in values if value] + [""] * values.count("")
    heading.click()
    again = column(page, name)
    assert [float(value) for value in again if value] == known[::-1]
    assert values.count("") == again[len(known) :].count("")


def test_the_table_is_filtered_by_text_and_type(page):
    page.locator("#table-controls [name=text]").fill("light_1")
    assert len(column(page, "file")) == 2
    page.locator("#table-controls [name=text]").fill("")
    page.locator("#table-controls [name=type]").select_option("bias")
    assert sorted(column(page, "file")) == [f"bias_000{n}.fit" for n in (1, 2, 3)]
    assert page.locator("#table-controls output").inner_text() == "3 of 18"


def test_rows_that_are_selected_give_a_flag_to_copy(page, folder):
    for file in ("light_0002.fit", "light_0003.fit"):
        page.get_by_label(f"select {file}").check()
    page.locator("#picked [name=copy]").click()
    copied = "navigator.clipboard.readText()"
    assert page.evaluate(copied) == "--exclude 'light_0002.fit,light_0003.fit'"
    page.locator("#picked [name=what]").select_option("set")
    page.locator("#picked [name=value]").fill("filter=V, object=M 13")
    page.locator("#picked [name=copy]").click()
    assert page.evaluate(copied) == (
        "--set 'light_0002.fit,light_0003.fit: filter=V, object=M 13'"
    )
    page.locator("#picked [name=none]").click()
    assert page.locator("#picked").is_hidden()


def test_the_flag_of_odd_names_works_when_it_is_pasted(page, folder):
    names = ["light_0001.fit", "light, it's 2.fit"]
    for name in names:
        page.get_by_label(f"select {name}").check()
    words = shlex.split(page.locator("#picked [name=flag]").input_value())
    night = folder.with_name("night")
    output = folder.with_name("planned")
    result = CliRunner().invoke(cli, ["plan", str(night), "-o", str(output), *words])
    assert result.exit_code == 0, result.output
    frames = read_frames_csv(output / "frames.csv")
    assert sorted(frames.loc[~frames["use"], "file"]) == sorted(names)


def dots(page, series):
    return page.locator(f"#plots svg[data-name={series}] circle.dot")


def test_the_plots_show_each_light_and_what_report_json_holds(page, folder):
    data = json.loads((folder / "report.json").read_text("utf-8"))
    assert {one["name"] for one in data["series"]} >= {"stars", "sky", "airmass", "dx"}
    for series in ("stars", "airmass"):
        known = [n for n in data["frames"][series] if n is not None]
        assert dots(page, series).count() == len(known) > 0
    inline = page.evaluate("document.getElementById('report-data').textContent")
    assert json.loads(inline) == data


def test_a_pattern_highlights_and_hides_in_all_plots_at_once(page):
    n_lights = dots(page, "stars").count()
    page.locator("#plot-controls [name=pattern]").fill("light_000[12]")
    for series in ("stars", "sky"):
        assert page.locator(f"#plots svg[data-name={series}] .dot.lit").count() == 2
    page.locator("#plot-controls [value=hide]").check()
    assert dots(page, "stars").count() == n_lights - 2
    page.locator("#plot-controls [value=only]").check()
    assert dots(page, "sky").count() == 2
    page.locator("#plot-controls [name=pattern]").fill("")
    page.locator("#plot-legend button", has_text="V").click()
    assert dots(page, "sky").count() == n_lights - 2


def test_a_dot_says_which_frame_it_is_and_selects_it(page):
    dot = dots(page, "stars").first
    dot.hover()
    assert "light" in page.locator(".tip").inner_text()
    dot.click()
    assert page.locator("#frame-table tr.picked").count() == 1
    assert page.locator("#picked output").inner_text() == "1 selected"


def test_a_picture_opens_in_full_size_and_closes(page):
    page.locator("#pictures .enlarge").first.click()
    image = page.locator("#pictures figure:target .enlarge img")
    assert "pictures/" in image.get_attribute("src")
    page.wait_for_function(
        "document.querySelector('#pictures figure:target img').naturalWidth === 64"
    )
    page.keyboard.press("Escape")
    assert page.locator("figure:target").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_on_a_phone_or_a_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    line = page.locator("#groups caption").bounding_box()
    assert line["height"] < 60
    page.emulate_media(media="print")
    assert page.locator("#plot-controls").is_hidden()
    assert dots(page, "stars").first.is_visible()


CONTRASTS = """() => {
    const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const known = new Map();
    const rgba = (colour) => {
        if (!known.has(colour)) {
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1);
            known.set(colour, [...pen.getImageData(0, 0, 1, 1).data]);
        }
        return known.get(colour);
    };
    const over = (ground, [r, g, b, a]) => [r, g, b].map((v, i) => ground[i] + (v - ground[i]) * a / 255);
    const ground = (element) => element
        ? over(ground(element.parentElement), rgba(getComputedStyle(element).backgroundColor))
        : [255, 255, 255];
    const light = (colour) => colour
        .map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + [0.2126, 0.7152, 0.0722][i] * v, 0);
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const behind = ground(element);
        const ink = over(behind, rgba(element instanceof SVGElement ? style.fill : style.color));
        const [dim, bright] = [light(ink), light(behind)].sort((a, b) => a - b);
        found.push([(bright + 0.05) / (dim + 0.05), element.textContent.trim()]);
    }
    return found;
}"""
"""Of each text on the page its contrast as WCAG 2.1 defines it, and the text."""


def test_every_text_stands_out_from_what_lies_behind_it(page):
    page.evaluate(
        "for (const one of document.querySelectorAll('details')) one.open = true"
    )
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [one for one in found if one[0] < 4.5] == []


def test_on_paper_tables_are_whole_colours_are_there_and_boxes_to_tick_are_not(page):
    assert page.locator("#frame-table input:visible").count() > 0
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 1046, "height": 700})  # A4, landscape
    room, wanted = page.evaluate(
        """() => {
            const box = document.querySelector("#frames .scroll");
            return [box.clientWidth, box.scrollWidth];
        }"""
    )
    assert wanted <= room
    assert page.locator("#frame-table input:visible").count() == 0
    dot = page.locator("#plan .dot").first
    assert dot.evaluate("(one) => getComputedStyle(one).printColorAdjust") == "exact"
    assert [one for one in page.evaluate(CONTRASTS) if one[0] < 4.5] == []
