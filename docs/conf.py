"""How Sphinx builds this site: `make docs`, without network."""

import inspect
import sys
from pathlib import Path
from typing import Any

from sphinx.util.inspect import stringify_signature

sys.path.insert(0, str(Path(__file__).parents[1]))

from sagan_tf import __version__
from sagan_tf.machine import startup

startup.import_tensorflow()  # without the lines that TensorFlow prints when autodoc imports it

project = "sagan_tf"
author = "The sagan_tf contributors"
copyright = author  # noqa: A001 - Sphinx reads this name.
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Headings down to the third level can be linked to, as on GitHub.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# Notebooks are shown with the outputs that they keep; tests execute them.
nb_execution_mode = "off"

# Docstrings write code in single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # else Keras' own docstrings come with every layer
autodoc_typehints = "signature"
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"sagan_tf {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": False}


def setup(app: Any) -> None:
    """Connects what is ours to Sphinx."""
    app.connect("autodoc-process-signature", readable_signature)


def readable_signature(
    app: Any,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, ...]:
    """A constructor's own arguments, which Keras' `__new__` hides, and public names of types."""
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
        signature = stringify_signature(inspect.Signature(parameters))
    private, public = "keras.src.models.model.Model", "keras.Model"
    return tuple(text and text.replace(private, public) for text in (signature, returns))
