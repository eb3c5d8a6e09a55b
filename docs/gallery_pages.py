"""Pages and notebooks of the gallery, made anew for every build from the scripts in ``examples/gallery``.

A script is divided into cells by ``# %%``, prose in those of ``# %% [markdown]``, as Jupytext and most
editors read it. Its page shows the prose, the code and the picture, and offers the script and the notebook.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "examples" / "gallery"
SHARED = "gallery_pictures"
# From the first steps on; a script that is not named here comes last.
_FIRST = (
    "round_trip",
    "gradient_step",
    "bit_map",
    "folder_for_detection",
    "train_filter",
    "evaluate_and_plot",
    "refine",
    "augmentation",
)


def names() -> list[str]:
    """The scripts, without what they share, in the order of their pages."""
    found = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem != SHARED)
    return sorted(found, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


def notebook(name: str) -> Any:
    """A script as a notebook: the same cells, nothing run yet."""
    found = jupytext.read(SCRIPTS / f"{name}.py")
    note = f"It needs `{SHARED}.py` of the same page beside it, and `pip install scikit-image`."
    found.cells[0].source += f"\n\n*This notebook is a script of npp's gallery. {note}*"
    for number, cell in enumerate(found.cells):
        cell["id"] = f"cell-{number}"  # those of Jupytext are drawn at random
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    found.metadata = nbformat.from_dict({"kernelspec": kernel})
    return found


def page(name: str) -> str:
    """A script as a page, in Markdown."""
    first, *cells = jupytext.read(SCRIPTS / f"{name}.py").cells
    shared = f"{{download}}`{SHARED}.py <../../../examples/gallery/{SHARED}.py>`"
    downloads = (
        f"Take it with you as a {{download}}`script <../../../examples/gallery/{name}.py>` or as a "
        f"{{download}}`notebook <{name}.ipynb>`, with {shared} beside it. In a clone it runs with:"
    )
    command = f".venv/bin/python examples/gallery/{name}.py --out build/gallery"
    picture = f"![What the script draws](../../images/gallery/{name}.png)"
    parts = [first.source, picture, downloads, f"```sh\n{command}\n```"]
    for cell in cells:
        fenced = cell.cell_type == "code"
        parts.append(f"```python\n{cell.source}\n```" if fenced else cell.source)
    return "\n\n".join(parts) + "\n"


def overview() -> str:
    """Every page's title, beginning and picture, for the page that includes it; paths are the site's."""
    parts = []
    for name in names():
        title, _, text = jupytext.read(SCRIPTS / f"{name}.py").cells[0].source.partition("\n")
        title, target = title.removeprefix("# "), f"/generated/gallery/{name}.md"
        parts.append(f"## [{title}]({target})\n\n{text.strip().partition(chr(10) * 2)[0]}")
        parts.append(f"[![{title}](/images/gallery/{name}.png)]({target})")
    pages = "\n".join(f"/generated/gallery/{name}" for name in names())
    parts.append(f"```{{toctree}}\n:hidden:\n\n{pages}\n```")
    return "\n\n".join(parts) + "\n"


def _write(path: Path, text: str) -> None:
    """Only what changed is written, so that Sphinx reads only that again."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def write(folder: Path) -> None:
    """Writes all pages and notebooks to a folder; those of scripts that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.stem not in (*names(), "overview"):
            path.unlink()
    _write(folder / "overview.txt", overview())
    for name in names():
        _write(folder / f"{name}.md", page(name))
        _write(folder / f"{name}.ipynb", nbformat.writes(notebook(name)) + "\n")
