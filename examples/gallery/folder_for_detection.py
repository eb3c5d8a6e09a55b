# %% [markdown]
# # A folder for a detector
#
# A *recipe* is what belongs together for a task: the size that is coded, a filter, a map, and options
# of the encoder. The recipe "detection" codes large pictures at half of each side, and brings them back
# to their size, as the back end would that runs the detector.

# %%
import torch
from gallery_pictures import arguments, panel, photo

import npp
from npp.files import write_file

out, size = arguments("A folder for a detector.")
names = ("coffee", "rocket")
photos = [photo(name, 2 * size) for name in names]

# %% [markdown]
# The same from a shell: `npp encode FOLDER -o lean/ --for detection --qp 40 --effort 1`.

# %%
recipe = npp.Recipe.load("detection")
folder = out / "lean"
folder.mkdir(exist_ok=True)
for name, file in zip(names, recipe.encode(photos, qp=40, effort=1), strict=True):
    write_file(folder / f"{name}.bpg", file, force=True)

# %% [markdown]
# On the other side: `npp decode lean/ -o decoded/ --restore-size`, or in Python as here. The size that
# a picture had stands in its file.

# %%
files = sorted(folder.glob("*.bpg"))
for path in files:
    info = npp.probe(path)
    print(path.name, f"coded at {info.width}x{info.height}, {path.stat().st_size} bytes")
pictures = recipe.decode(files, dtype=torch.float32)
assert [tuple(one.shape[1:]) for one in pictures] == [(2 * size, 2 * size)] * len(files)

# %%
captions = [f"{path.stem}: {path.stat().st_size} bytes" for path in files]
panel(pictures, captions, out / "folder_for_detection.png")
