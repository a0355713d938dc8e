"""Pages in one file that needs no other: a template, drawings within it."""

import io
import math
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

# Of lines, in turn: told apart by colour-blind readers, too (Okabe and Ito, 2008).
COLOURS = ("#999999", "#E69F00", "#56B4E9", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")


def render(package: str, template: str, **values: Any) -> str:
    """Fills a template of a package; text is escaped, and a name without a value an error.

    The filter `number` writes a number as its format says, and NaN as n/a.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment.get_template(template).render(**values)


def drawing(figure: Figure, name: str) -> Markup:
    """A figure as SVG to stand within a page, the same for the same figure and name.

    Args:
        figure: to draw.
        name: unlike that of other drawings on the page, whose parts it keeps apart.
    """
    file = io.StringIO()
    # Names within the drawing follow from its salt; without a date, equal figures give equal files.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    _, tag, rest = file.getvalue().partition("<svg")
    return Markup(tag + rest)


def _number(value: float, form: str = "%.3f") -> str:
    return "n/a" if math.isnan(value) else form % value
