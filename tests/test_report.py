"""The page as a whole: sound, safe, self-contained, and true to the run."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from report_night import (
    BIAS,
    DARK_FIT,
    FIT,
    FLAT,
    LEDGER,
    STACK,
    FakeOutcome,
    calibrate,
    exhibits_of,
    failed,
    inputs,
    make_frames,
    make_outcomes,
    make_plan,
    make_report,
    write_products,
)

import autoreduce.report
from autoreduce.errors import ProductError
from autoreduce.frames.schema import make_frame_table
from autoreduce.planning.plan import Action, Plan
from autoreduce.planning.recipe import load_recipe
from autoreduce.remarks import ITSELF, remark
from autoreduce.report.gallery import (
    LARGEST,
    TOTAL_PIXELS,
    evenly,
    picture_size,
)
from autoreduce.report.render import disagreements, render_report, write_report

NASTY = "<script>alert('x')</script> & \"quo\" tes é星.fit"
VOID = {"meta", "img", "input", "br", "link"}
TEMPLATES = Path(autoreduce.report.__file__).parent / "templates"


class Page(HTMLParser):
    """Collects elements and texts; fails where elements do not nest."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):  # noqa: D102
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # noqa: D102
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):  # noqa: D102
        assert self.open.pop() == tag

    def handle_data(self, data):  # noqa: D102
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    @property
    def text(self):  # noqa: D102
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):  # noqa: D102
        return [attributes for name, attributes in self.elements if name == tag]


def render(folder, report=None, *, products=True):
    report = report or make_report()
    if products:
        write_products(folder, report.plan)
    return Page(render_report(folder, report))


def luminance(colour):
    """Relative luminance of #rrggbb, as WCAG 2.1 defines it."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_report_is_one_file_beside_the_products(tmp_path):
    report = make_report()
    write_products(tmp_path, report.plan)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    path = write_report(tmp_path, report)
    assert path == tmp_path / "report.html"
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert after - before == {path, tmp_path / "report.json"}
    assert write_report(tmp_path, report) == path  # and may be written again


def test_a_report_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ProductError, match=r"report\.html cannot be written"):
        write_report(tmp_path / "file", make_report())


def test_the_same_run_gives_the_same_page(tmp_path):
    report = make_report()
    write_products(tmp_path, report.plan)
    assert render_report(tmp_path, report) == render_report(tmp_path, report)


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    page = render(tmp_path)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object"}
        for name in ("src", "href"):
            target = attributes.get(name, "")
            assert "//" not in target.split(",")[0]
        if tag in {"img", "script"}:
            assert attributes.get("src", "data:").startswith("data:")
    style = (TEMPLATES / "report.css").read_text("utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_anchors_are_unique_and_lead_somewhere(tmp_path):
    page = render(tmp_path)
    anchors = [
        attributes["id"] for _, attributes in page.elements if "id" in attributes
    ]
    assert len(anchors) == len(set(anchors))
    links = [a["href"] for a in page.all("a") if a["href"].startswith("#")]
    assert {link[1:] for link in links} <= set(anchors)
    labels = [attributes.get("aria-labelledby") for attributes in page.all("section")]
    assert set(labels) <= set(anchors)


def test_pictures_have_words_and_table_headers_have_a_scope(tmp_path):
    page = render(tmp_path)
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("aria-label") for attributes in page.all("svg"))
    assert all(attributes.get("scope") for attributes in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_product_has_a_picture_and_a_link(tmp_path):
    page = render(tmp_path)
    n_products = 7  # bias, dark, flat, three lights, stack; the fit is a plot
    assert len(page.all("img")) == n_products
    links = {attributes["href"] for attributes in page.all("a")}
    assert {BIAS, FLAT, STACK, "calibrated/l0.fits"} <= links
    assert len([s for s in page.all("svg") if "Dark counts" in s["aria-label"]]) == 1


def test_names_cannot_break_the_page(tmp_path):
    frames = make_frames().replace({"file": {"l0.fit": NASTY}, "object": {"M1": NASTY}})
    plan = make_plan(
        calibrate("x.fit", output=f"calibrated/{NASTY}s", group=NASTY,
                  missing=(remark("no-flat", found=NASTY),), facts={"object": NASTY},
                  frames=inputs([NASTY])),
        notes=(remark("single-light", found=NASTY),),
        verdicts=tuple(LEDGER),
    )  # fmt: skip
    why = remark("failed", found=NASTY)
    bad = FakeOutcome("failed", (why, why), left_out={NASTY: why})
    report = make_report(
        plan,
        frames=frames,
        outcomes=make_outcomes(plan, **{FLAT: bad}),
        unreadable=pd.DataFrame({"file": [NASTY], "reason": [NASTY]}),
        fits={NASTY: DARK_FIT},
        title=NASTY,
        command=NASTY,
        version=NASTY,
    )
    html = render_report(tmp_path, report)
    page = Page(html)
    assert len(page.all("script")) == 2  # the numbers, and what draws them
    assert "<script>alert" not in html
    assert page.text.count("alert('x')") > 8
    assert "é星" in page.text


def test_what_needs_attention_stands_before_everything_else(tmp_path):
    plan = make_plan(
        calibrate("l0.fit", missing=(remark("no-flat", found="none of Ha"),))
    )
    outcomes = make_outcomes(plan, **{BIAS: failed("all frames differ")})
    unreadable = pd.DataFrame({"file": ["cut.fit"], "reason": ["is truncated"]})
    frames = make_frames()
    frames.loc[0, ["use", "why_not"]] = [False, "odd level"]
    report = make_report(plan, frames=frames, outcomes=outcomes, unreadable=unreadable)
    text = render(tmp_path, report).text
    told = ("What needs attention", "all frames differ", "M1_Ha (1 frame)",
            "cut.fit : is truncated", "b0.fit : odd level", "Light gathered")  # fmt: skip
    places = [text.index(words) for words in told]
    assert places == sorted(places)


def test_of_very_many_remarks_the_first_are_in_view_and_all_are_there(tmp_path):
    names = [f"file{i}.fit" for i in range(13)]
    unreadable = pd.DataFrame({"file": names, "reason": [f"r{i}" for i in range(13)]})
    text = render(tmp_path, make_report(unreadable=unreadable)).text
    assert text.index("file9.fit") < text.index("and 3 more") < text.index("file10.fit")


def test_a_night_in_which_all_went_well_says_so(tmp_path):
    text = render(tmp_path).text
    assert "Nothing needs attention" in text
    assert "What needs attention" not in text


def test_a_product_that_is_not_there_has_no_picture_but_a_reason(tmp_path):
    plan = make_plan()
    outcomes = make_outcomes(plan, **{STACK: failed("a light", "blocked")})
    page = render(tmp_path, make_report(plan, outcomes=outcomes))
    (tmp_path / FLAT).unlink()
    (tmp_path / BIAS).write_text("not FITS")
    page = Page(render_report(tmp_path, make_report(plan, outcomes=outcomes)))
    assert len(page.all("img")) == 4
    assert "needs a light" in page.text
    assert page.text.count("no picture: ") == 2


def test_every_frame_has_a_row_that_works_without_a_script(tmp_path):
    frames = make_frames()
    frames.loc[0, ["use", "why_not"]] = [False, "odd level"]
    page = render(tmp_path, make_report(frames=frames))
    rows = [row for row in page.all("tr") if row.get("class") == "out"]
    assert len(rows) == 1
    assert "left out: odd level" in page.text
    for file in frames["file"]:
        assert file in page.text
    assert "hidden" in page.all("form")[0]  # shown by the script that it needs


def test_a_night_of_which_nothing_is_known_still_has_a_report(tmp_path):
    facts = [{"file": f"{i}.fit"} for i in range(3)]
    report = make_report(
        Plan("/night", load_recipe(), ()),
        frames=make_frame_table(facts),
        outcomes={},
        fits={},
        evidence=None,
        elapsed_s=None,
    )
    page = render(tmp_path, report)
    assert "A night without a date" in page.text
    assert "From 3 frames, 0 used: nothing was made." in page.text
    assert page.all("img") == []


def test_an_empty_night_still_has_a_report(tmp_path):
    plan = Plan("/night", load_recipe(), ())
    frames = make_frame_table([])
    report = make_report(plan, frames=frames, outcomes={}, fits={})
    assert "No frame was found." in render(tmp_path, report).text


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "agree with a straight line"),
        ({"linear": False}, "do not lie on a straight line"),
        ({"linear": None}, "errors of the counts are not known"),
        ({"points": DARK_FIT["points"][:2]}, "cannot tell whether it is one"),
    ],
)
def test_the_dark_fit_is_judged_in_words(tmp_path, changes, verdict):
    report = make_report(fits={FIT: {**DARK_FIT, **changes}})
    text = render(tmp_path, report).text
    assert verdict in text
    assert "5.933 ± 1.53 ADU" in text
    assert "0.09833 ± 0.0118 ADU/s" in text


def test_headers_that_contradict_themselves_are_counted():
    evidence = pd.DataFrame(
        [
            ("a.fit", "exptime", "60", "EXPTIME", "60.", "seconds", "EXPOSURE = 61"),
            ("b.fit", "exptime", "60", "EXPTIME", "60.", "seconds", "EXPOSURE = 61"),
            ("a.fit", "filter", "R", "FILTER", "R", "text", ""),
            ("b.fit", "filter", "R", "FILTER", "R", "text", None),
        ],
        columns=["file", "fact", "value", "keyword", "literal", "rule", "disagree"],
    )
    (row,) = disagreements(evidence)
    assert (row["fact"], row["disagree"], row["n_frames"]) == (
        "exptime", "EXPOSURE = 61", 2
    )  # fmt: skip
    assert disagreements(None) == []


def test_pictures_share_a_budget_so_that_the_page_stays_small(tmp_path):
    few = [1.0] * 2 + [0.4] * 4
    assert picture_size(few) == LARGEST
    many = [1.0] * 60 + [0.2] * 500
    size = picture_size(many)
    areas = 60 * size**2 + 500 * (size / 5) ** 2
    assert 0.9 * TOTAL_PIXELS < areas <= TOTAL_PIXELS
    assert picture_size([]) == LARGEST


def test_of_very_many_lights_some_are_shown_evenly_over_the_night(
    tmp_path, monkeypatch
):
    assert evenly("abcde", 5) == "abcde"
    assert evenly("abcdefg", 3) == ["a", "d", "g"]
    monkeypatch.setattr("autoreduce.report.gallery.LIGHTS_SHOWN", 2)
    page = render(tmp_path)
    shown = [a["alt"] for a in page.all("img") if "calibrated light" in a["alt"]]
    assert shown == ["calibrated light l0", "calibrated light l2"]
    assert "2 of 3, evenly over the night." in page.text


def test_a_stack_that_failed_is_not_said_to_combine_its_lights(tmp_path):
    plan = make_plan()
    outcomes = make_outcomes(plan, **{STACK: failed("no stack", output=STACK)})
    report = make_report(plan, outcomes=outcomes)
    (stack,) = exhibits_of(report, tmp_path)[Action.STACK]
    assert "none of 3 combined" in stack.facts
    (bias,) = exhibits_of(make_report(plan), tmp_path)[Action.BIAS]
    assert bias.facts[0] == "3 combined"


def test_beside_a_light_stands_a_way_out_that_names_its_raw_frame(tmp_path):
    plan = make_plan(calibrate("l0.fit.gz"))
    way_out = f"--set '{ITSELF}: dark=none'"
    doubt = remark("dark-lost", "calibrated/l0.fits", way_out=way_out)
    (output,) = (one.output for one in plan.tasks if one.action is Action.CALIBRATE)
    outcomes = make_outcomes(plan, **{output: FakeOutcome(remarks=(doubt,))})
    write_products(tmp_path, plan)
    shown = exhibits_of(make_report(plan, outcomes=outcomes), tmp_path)
    (told,) = shown[Action.CALIBRATE][0].remarks
    assert "(--set 'l0.fit.gz: dark=none')" in told


def test_beside_a_stack_stands_what_its_lights_lack_and_what_is_doubtful(tmp_path):
    """Of many lights how many, not which: the verdict names them."""
    flatless = {"missing": (remark("no-flat", found="none of Ha"),)}
    lights = [calibrate("l0.fit", **flatless), calibrate("l1.fit"), calibrate("l2.fit")]
    plan = make_plan(*lights)
    doubtful = (remark("dark-lost", "calibrated/l1.fits", found="it is gone"),)
    outcomes = make_outcomes(
        plan, **{"calibrated/l1.fits": FakeOutcome(remarks=doubtful)}
    )
    write_products(tmp_path, plan)
    shown = exhibits_of(make_report(plan, outcomes=outcomes), tmp_path)
    assert shown[Action.STACK][0].remarks == (
        "1 of 3 lights: no flat",
        "1 of 3 lights: dark not subtracted: it is gone",
    )
    lacking = [exhibit.remarks for exhibit in shown[Action.CALIBRATE]]
    assert lacking == [("no flat",), ("dark not subtracted: it is gone",), ()]
    left = {"calibrated/l0.fits": remark("few-stars")}
    outcomes[STACK] = FakeOutcome(left_out=left)
    shown = exhibits_of(make_report(plan, outcomes=outcomes), tmp_path)
    assert shown[Action.STACK][0].remarks[:1] == (
        "1 of 2 lights: dark not subtracted: it is gone",
    )


def test_a_stack_tells_its_scale_where_all_of_its_lights_have_one(tmp_path):
    plan = make_plan()
    outputs = [f"calibrated/l{n}.fits" for n in range(3)]
    write_products(tmp_path, plan)

    def facts(*scales):
        ends = {
            output: FakeOutcome(
                statistics={"fwhm": 2.0 + n, "fwhm_arcsec": scale * (2.0 + n)}
            )
            for n, (output, scale) in enumerate(zip(outputs, scales, strict=True))
        }
        report = make_report(plan, outcomes=make_outcomes(plan, **ends))
        (stack,) = exhibits_of(report, tmp_path)[Action.STACK]
        return stack.facts

    assert facts(0.392, 0.3921, 0.392)[-1] == "0.392 arcsec/px"
    assert not any("arcsec" in fact for fact in facts(0.392, 0.784, 0.392))
    assert not any(
        "arcsec" in fact
        for fact in exhibits_of(make_report(plan), tmp_path)[Action.STACK][0].facts
    )


def test_a_number_stands_with_its_error_and_its_unit(tmp_path):
    plan = make_plan()
    numbers = {"exptime": 240.0, "gain": 1.2879, "gain_error": 0.00481, "rejected": 0.5}
    outcomes = make_outcomes(plan, **{FLAT: FakeOutcome(statistics=numbers)})
    (flat,) = exhibits_of(make_report(plan, outcomes=outcomes), tmp_path)[Action.FLAT]
    assert flat.statistics == (
        ("exposure", "240 s"),
        ("gain", "1.288 ± 0.0048 e/ADU"),
        ("rejected", "50 %"),
    )


def test_the_head_counts_what_needs_attention_and_leads_there(tmp_path):
    frames = make_frames()
    frames.loc[[0, 1], ["use", "why_not"]] = [False, "odd level"]
    page = render(tmp_path, make_report(frames=frames))
    assert "3 of 3 lights reduced, 3 in 1 stack Frames left out: 2" in page.text
    links = [a["href"][1:] for a in page.all("a") if "concern" in a["href"]]
    assert links == [
        box["id"] for box in page.all("div") if "concern" in box.get("id", "")
    ]
    assert len(links) == 1


def test_a_night_without_lights_still_tells_which_masters_served(tmp_path):
    plan = make_plan()
    tasks = tuple(task for task in plan.tasks if task.action is not Action.CALIBRATE)
    page = render(tmp_path, make_report(replace(plan, tasks=tasks[:-1])))
    leads = {a["href"] for a in page.all("a")}
    assert {one["id"] for one in page.all("section")} <= {name[1:] for name in leads}
    assert "#plan" in leads


def test_a_page_full_of_noise_is_not_too_large(tmp_path):
    plan = make_plan(*(calibrate(f"l{i}.fit") for i in range(40)))
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 1.0, (900, 1200)).astype(np.float32)
    for task in plan.tasks:
        path = tmp_path / task.output
        path.parent.mkdir(exist_ok=True)
        if task.action is not Action.DARK_FIT:
            fits.writeto(path, noise)
    path = write_report(tmp_path, make_report(plan))
    assert path.stat().st_size < 10e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(scheme):
    style = (TEMPLATES / "report.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    block = light if scheme == "light" else dark
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for paper in ("paper", "card"):
        ground = luminance(colours[paper])
        for name in ("ink", "muted", "accent", "good", "near", "fair", "poor", "bad"):
            bright, dim = sorted((luminance(colours[name]), ground), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, name
