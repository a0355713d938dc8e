"""Makes self-contained HTML pages from a template and drawings."""

import io
import math
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

# Colours of lines, in turn, which colour-blind readers can tell apart (Okabe and Ito, 2008).
COLOURS = ("#999999", "#E69F00", "#56B4E9", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")


def render(package: str, template: str, **values: Any) -> str:
    """Renders a package's template; text is escaped, and a name without a value is an error.

    The filter `number` formats a number, and writes NaN as n/a.
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
    """A figure as SVG for a page; the same figure and name give the same SVG.

    Args:
        figure: figure to draw.
        name: name that is unique on the page, to keep the drawings' element ids apart.
    """
    file = io.StringIO()
    # Element ids depend on the salt. Without a date, equal figures give equal files.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    _, tag, rest = file.getvalue().partition("<svg")
    return Markup(tag + rest)


def _number(value: float, form: str = "%.3f") -> str:
    return "n/a" if math.isnan(value) else form % value
