"""A report as one HTML page that needs nothing else: no network, no script, no second file.

Text and numbers are escaped, figures are embedded; the page reads on a phone, on paper, in light and in dark.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from numbers import Integral, Real
from typing import TYPE_CHECKING

from sciml.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Cell", "Section", "Table", "counted", "render_report", "significant"]

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """A table; numbers are shown with three significant digits and aligned, None as a dash.

    Parameters
    ----------
    columns
        Headings, with the unit where there is one: ``"time (s)"``.
    rows
        One cell for each column.
    caption
        What the table says, above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ConfigurationError(
                    f"table {self.caption!r}: row {index} has {len(row)} cells, but there are {len(self.columns)} "
                    f"columns ({', '.join(self.columns)}); use None for a missing value."
                )


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Parameters
    ----------
    title
        Heading.
    text
        Paragraphs, an empty line between them; plain text, no markup.
    table
        Shown below the text.
    figures
        Caption to figure, shown last.
    """

    title: str
    text: str = ""
    table: Table | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)


def render_report(title: str, sections: Sequence[Section]) -> str:
    """Render a self-contained HTML page.

    Parameters
    ----------
    title
        Title and first heading of the page.
    sections
        In the order of the page; the sections must have different titles.

    Returns
    -------
    str
        The page. The same input gives the same page.

    Raises
    ------
    ConfigurationError
        No sections, or two of the same title.

    Examples
    --------
    >>> table = Table(["learner", "error (1)"], [["mgno", 0.0123]])
    >>> page = render_report("Darcy", [Section("Test error", "Mean of 100 samples.", table)])
    >>> page.startswith("<!doctype html>") and "0.0123" in page
    True
    """
    titles = [section.title for section in sections]
    if len(set(titles)) != len(titles) or not titles:
        raise ConfigurationError(f"report {title!r}: sections with different titles are expected, not {titles}.")
    links = "".join(f'<a href="#s{i}">{escape(name)}</a>' for i, name in enumerate(titles, 1))
    body = "\n".join(_section(i, section) for i, section in enumerate(sections, 1))
    return _PAGE.format(title=escape(title), style=_STYLE, links=links, body=body)


def _section(index: int, section: Section) -> str:
    parts = [f'<section id="s{index}">', f"<h2>{escape(section.title)}</h2>"]
    paragraphs = (p.strip() for p in section.text.split("\n\n"))
    parts += [f"<p>{escape(p)}</p>" for p in paragraphs if p]
    if section.table is not None:
        parts.append(_table(section.table))
    parts += [_figure(caption, figure) for caption, figure in section.figures.items()]
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in table.rows)
    return (
        f'<div class="wide"><table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'
    )


def _cell(cell: Cell) -> str:
    if cell is None:
        return '<td class="number">–</td>'
    if isinstance(cell, Real) and not isinstance(cell, bool):
        return f'<td class="number">{escape(_number(cell))}</td>'
    return f"<td>{escape(str(cell))}</td>"


def _number(value: Real) -> str:
    if isinstance(value, Integral):
        return f"{int(value):,}".replace(",", "\u202f")
    return significant(float(value))


def significant(value: float) -> str:
    """Three significant digits; an exponent only below 1e-4 and from 1e5 on.

    Examples
    --------
    >>> significant(1684.0), significant(0.0123), significant(2.5e7)
    ('1680', '0.0123', '2.5e+07')
    """
    rounded = f"{value:.3g}"
    return f"{float(rounded):.0f}" if 1e3 <= abs(float(rounded)) < 1e5 else rounded


def counted(count: int, noun: str) -> str:
    """A number and its noun, which takes an s unless there is one: ``1 core``, ``2 cores``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _figure(caption: str, figure: Figure) -> str:
    picture = BytesIO()
    # Without the software's version and the date, the same figure gives the same bytes.
    figure.savefig(picture, format="png", dpi=150, metadata={"Software": None})
    data = b64encode(picture.getvalue()).decode("ascii")
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


_STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --ground: #ffffff; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3a424b; --ground: #14181d; --link: #6cb6ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.2rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { margin-top: 2.2rem; font-size: 1.25rem; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
p { max-width: 44rem; white-space: pre-line; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding: .3rem 0; color: var(--soft); text-align: left; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number { text-align: right; white-space: nowrap; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .92rem; }
@media print {
  :root { color-scheme: light; --ink: #000000; --soft: #333333; --line: #999999; --ground: #ffffff; --link: #000000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; }
}
""".strip()

# The content policy makes "self-contained" a promise that the browser keeps.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<h1>{title}</h1>
<nav>{links}</nav>
{body}
</body>
</html>
"""
