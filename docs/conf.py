"""Settings of the site that `make docs` builds with Sphinx."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE))

import npp.codec.option_signature  # noqa: E402 (after the path)

# Pages show ``**options`` as it is written, for the page of CodecOptions has them one by one. This stands
# before the functions are made.
npp.codec.option_signature.shows_options = lambda **_: lambda function: function

import gallery_pages  # noqa: E402 (beside this file)
import generated_pages  # noqa: E402

project = "npp"
author = "the authors of npp"
copyright = "the authors of npp; GPL-2.0-or-later"  # noqa: A001 (Sphinx's name)
release = version = npp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_heading_anchors = 4

autodoc_mock_imports = [name for name in generated_pages.FOREIGN_PACKAGES if find_spec(name) is None]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries = False

# Links that are right in the repository, where these files lie beside docs/, and the pages that show them.
_BESIDE = {
    "../SECURITY.md": "security.md",
    "../CONTRIBUTING.md": "developing.md",
    "../CHANGELOG.md": "changes.md",
    "../RELEASING.md": "releasing.md",
    "../LICENSE": "questions.md#may-i-use-it-in-my-product",
}

html_theme = "furo"
html_title = "npp"
html_static_path = ["static"]
html_css_files = ["npp.css"]
html_theme_options = {
    "source_repository": "",
    "navigation_with_keys": True,
}
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"


class _Homes:
    """Where the site describes a name that a docstring uses without its room."""

    def __init__(self) -> None:
        names = [entry for room in generated_pages.public_names().values() for entry in room]
        self._by_tail: dict[str, set[str]] = {}
        for entry in names:
            value = entry.value
            spellings = {entry.name, entry.home}
            if hasattr(value, "__qualname__"):
                spellings.add(f"{value.__module__}.{value.__qualname__}")
            for spelling in spellings:
                self._by_tail.setdefault(spelling, set()).add(entry.home)

    def find(self, target: str) -> str | None:
        """The full name of what ``target`` means, and a member that it names; ``None`` if unclear."""
        head, _, member = target.rpartition(".")
        for spelling, rest in ((target, ""), (target.rpartition(".")[2], ""), (head, f".{member}")):
            homes = self._by_tail.get(spelling, set())
            if len(homes) == 1:
                return next(iter(homes)) + rest
            short = spelling.rpartition(".")[2]
            homes = self._by_tail.get(short, set())
            if spelling and len(homes) == 1:
                return next(iter(homes)) + rest
        return None


def _prepare(app: Any, docname: str, source: list[str]) -> None:
    """Tables that evaluations wrote are reached from the pages that quote them."""
    if docname.startswith("results/"):
        source[0] = f"---\norphan: true\n---\n{source[0]}"
    if docname == "index":  # patterns of pages that not every checkout has
        lines = source[0].splitlines()
        source[0] = "\n".join(
            line for line in lines if not line.endswith("*") or any(_HERE.glob(f"{line}.md"))
        )
    for target, page in _BESIDE.items():
        source[0] = source[0].replace(f"]({target})", f"]({page})")


def setup(app: Any) -> None:
    generated_pages.write()
    gallery_pages.write(generated_pages.FOLDER / "gallery")
    homes = _Homes()

    def missing(app: Any, env: Any, node: Any, contnode: Any) -> Any:
        if node.get("refdomain") != "py":
            return None
        full = homes.find(node["reftarget"])
        if full is None:
            # An annotation may name what has no page: other packages' classes, npp's unions. A role may not.
            return None if isinstance(contnode, nodes.literal) else contnode
        domain = env.get_domain("py")
        found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, contnode)
        return found if found is not None or isinstance(contnode, nodes.literal) else contnode

    app.connect("source-read", _prepare)
    app.connect("missing-reference", missing)
