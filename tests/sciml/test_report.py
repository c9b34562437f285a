"""A report is one well-formed page: all that was given is on it, escaped, and nothing is fetched from elsewhere."""

from __future__ import annotations

from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest

from sciml.errors import ConfigurationError
from sciml.figures import convergence
from sciml.report import Section, Table, counted, render_report, significant

VOID = {"meta", "img", "br", "hr", "link", "input"}
NASTY = "<script>alert('a & b')</script> \"quoted\" {braces}"


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], {}, []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.setdefault(self.open[-1] if self.open else "", []).append(data)


def figure():
    return convergence({"zero": np.geomspace(1, 1e-8, 12)})


def sections():
    table = Table(["learner", "error (1)", "parameters (1)"], [["mgno", 0.0123456, 572661], ["fno", None, 3]], "Mean")
    return [
        Section("Test error", "Lower is better.\n\nTwo seeds.", table),
        Section("Certificate", figures={"Residual of two starts": figure()}),
        Section("What was run"),
    ]


def test_numbers_have_three_digits_and_seldom_an_exponent():
    numbers = (1684.2, 99949.0, 99951.0, 0.0123456, 3.0, float("inf"))
    assert [significant(n) for n in numbers] == ["1680", "99900", "1e+05", "0.0123", "3", "inf"]
    assert [counted(n, "core") for n in (0, 1, 2)] == ["0 cores", "1 core", "2 cores"]


def test_all_sections_texts_tables_and_figures_are_there():
    page = Page(render_report("Darcy flow", sections()))
    assert page.text["title"] == page.text["h1"] == ["Darcy flow"]
    assert page.text["h2"] == page.text["a"] == ["Test error", "Certificate", "What was run"]
    assert page.text["p"] == ["Lower is better.", "Two seeds."]
    assert page.text["th"] == ["learner", "error (1)", "parameters (1)"]
    assert page.text["td"] == ["mgno", "0.0123", "572\u202f661", "fno", "–", "3"]
    assert page.text["caption"] == ["Mean"]
    assert page.text["figcaption"] == ["Residual of two starts"]
    assert page.tags.count("section") == 3


def test_every_link_leads_to_a_section():
    attributes = Page(render_report("t", sections())).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert [value for tag, name, value in attributes if (tag, name) == ("a", "href")] == [f"#{i}" for i in ids]


def test_nothing_is_fetched_from_elsewhere():
    html = render_report("t", sections())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    sources = [v for _, name, v in page.attributes if name in {"src", "srcset", "href", "data", "action"}]
    assert all(v.startswith(("#", "data:image/png;base64,")) for v in sources)
    outside_data = "".join(part.partition('"')[2] for part in html.split("data:image/png;base64,"))
    assert "http://" not in outside_data
    assert "https://" not in outside_data
    style = "".join(page.text["style"])
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_itself_forbids_requests_and_fits_a_phone():
    attributes = Page(render_report("t", sections())).attributes
    contents = " ".join(v for tag, name, v in attributes if (tag, name) == ("meta", "content"))
    assert "default-src 'none'" in contents
    assert "width=device-width" in contents
    style = Page(render_report("t", sections())).text["style"][0]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_whatever_is_given_is_shown_as_text():
    table = Table([NASTY], [[NASTY]], NASTY)
    page = Page(render_report(NASTY, [Section(NASTY, NASTY, table, {NASTY: figure()})]))
    assert "script" not in page.tags
    for place in ("title", "h1", "h2", "a", "p", "th", "td", "caption", "figcaption"):
        assert page.text[place] == [NASTY], place
    assert ("img", "alt", NASTY) in page.attributes


def test_an_embedded_figure_is_a_picture_with_its_size_and_alternative_text():
    page = Page(render_report("t", sections()))
    image = {name: value for tag, name, value in page.attributes if tag == "img"}
    assert b64decode(image["src"].partition(",")[2], validate=True).startswith(b"\x89PNG\r\n")
    assert image["alt"] == "Residual of two starts"
    assert int(image["width"]) > int(image["height"]) > 0


def test_the_same_report_has_the_same_bytes():
    assert render_report("t", sections()) == render_report("t", sections())


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (0.000123456, "0.000123"),
        (np.float32(0.5), "0.5"),
        (np.int64(1234), "1\u202f234"),
        (True, "True"),
        ("1e-3", "1e-3"),
    ],
)
def test_a_cell_is_shown_by_its_type(cell, shown):
    assert Page(render_report("t", [Section("s", table=Table(["c"], [[cell]]))])).text["td"] == [shown]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ConfigurationError, match=r"row 1 has 1 cells, but there are 2 columns \(a, b\)"):
        Table(["a", "b"], [[1, 2], [3]])


@pytest.mark.parametrize("given", [[], [Section("a"), Section("a")]], ids=["none", "twice the same title"])
def test_sections_must_be_there_and_differ(given):
    with pytest.raises(ConfigurationError, match="different titles"):
        render_report("t", given)
