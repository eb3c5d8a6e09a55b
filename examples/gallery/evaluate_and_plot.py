# %% [markdown]
# # Evaluate and plot
#
# Two ways of coding, called *arms*, are measured with a network of one's own, and the curves drawn: it
# is `npp evaluate` from Python. With four photos and an untrained network this shows the handling, not
# a result.

# %%
import shutil
from pathlib import Path

import gallery_pictures
from gallery_pictures import arguments, as_image, photo
from PIL import Image

from npp.evaluation import evaluate, parse_config

out, size = arguments("Evaluation of two arms.")
folder = out / "photos"
folder.mkdir(exist_ok=True)
for name in ("chelsea", "coffee", "astronaut", "rocket"):
    as_image(photo(name, size)).save(folder / f"{name}.png")

# %% [markdown]
# The settings are what stands in a YAML file for the command. The first arm is the anchor, with which
# the others are compared. `python:MODULE:FUNCTION` names a function that returns your network, here the
# toy classifier in `gallery_pictures.py`; `seen` says that it may have taken part in choosing
# something.

# %%
settings = {
    "name": "gallery",
    "modules": str(Path(gallery_pictures.__file__).parent),  # where "python:" names are looked for
    "data": {"folder": str(folder), "size": size, "part": "all"},
    "qps": [25, 30, 35, 40, 45],
    "seen": [{"name": "classification", "model": "python:gallery_pictures:classifier", "label": "mine"}],
    "arms": [{"name": "bpg", "effort": 5}, {"name": "fast", "effort": 0}],
}
found = evaluate(parse_config(settings), out / "evaluation")

# %% [markdown]
# BD-rate says by how many percent the bits of an arm differ from the anchor's at equal quality. With so
# few photos none of this network's answers changes at any qp, so that `agreement` makes no curve and
# has no BD-rate.

# %%
for table in found.tables:
    print(table.markdown(), end="\n\n")

# %% [markdown]
# `evaluation/` now has the tables, the curves, `report.html` for a browser, and every photo's values.

# %%
shutil.copyfile(out / "evaluation" / "curves.png", out / "evaluate_and_plot.png")
Image.open(out / "evaluate_and_plot.png").copy()
