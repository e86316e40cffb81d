"""Remarks: values in, sentences out, and a page of all of them."""

import json
from pathlib import Path

import pytest

from autoreduce.remarks import (
    CODES,
    ITSELF,
    Remark,
    Severity,
    joined,
    messages_page,
    remark,
)

PAGE = Path(__file__).parent.parent / "docs" / "messages.md"


def test_a_sentence_is_written_from_the_values():
    one = remark("odd-level", "b.fit", found="1039.0 ADU", expected="5 have 1025.0")
    assert str(one) == "level 1039.0 ADU, the other 5 have 1025.0"
    assert (one.severity, one.subject) == (Severity.LEFT_OUT, ("b.fit",))


def test_the_way_out_stands_behind_the_sentence():
    one = remark("no-uncert", found="the gain is unknown", way_out="--set '*: egain=1'")
    assert str(one) == "no UNCERT: the gain is unknown (--set '*: egain=1')"


def test_the_subject_stands_for_itself_in_the_way_out():
    way_out = f"--set '{ITSELF}: imagetyp=light'"
    one = remark("untyped", "a.fit", found="no witness", way_out=way_out)
    assert "--set 'a.fit: imagetyp=light'" in str(one)
    assert "--set 'FILE: imagetyp=light'" in str(one.about("a.fit", "b.fit"))


def test_remarks_that_differ_in_their_subject_only_are_joined_in_order():
    told = [remark("copy", name, found="x.fit") for name in ("c", "a", "c")]
    other = remark("copy", "b", found="y.fit")
    assert joined([told[0], other, *told[1:]]) == [told[0].about("c", "a"), other]


@pytest.mark.parametrize("code", CODES)
def test_every_remark_survives_its_json_form_and_has_words(code):
    one = remark(code, "a", found="1 {x}", expected="2", way_out="--exclude a")
    fields = json.loads(json.dumps(one.to_dict()))
    assert Remark.from_dict(fields) == one
    assert fields["text"] == str(one)
    assert "{" not in str(one).replace("{x}", "")
    assert CODES[code].meaning.endswith(".")


def test_what_is_no_remark_is_refused():
    fields = remark("copy", "a", found="b").to_dict()
    with pytest.raises(KeyError):
        Remark.from_dict({**fields, "code": "of another version"})
    with pytest.raises(ValueError, match="grave"):
        Remark.from_dict({**fields, "severity": "grave"})


def test_the_page_of_messages_is_that_of_the_table():
    assert PAGE.read_text("utf-8") == messages_page()
