# %% [markdown]
# # Bits over a photo
#
# HEVC lets every block of a picture have a quantiser of its own. An *allocator* is a small network that
# looks at a photo and says which blocks other networks will need: its *map* has an offset for each
# block of 16x16 pixels, negative (red) where it is coded finer, positive (blue) where it is coded
# coarser. The yellow boxes are what a detector finds.

# %%
import numpy as np
import torch
from gallery_pictures import arguments, panel, photo
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

import npp

out, size = arguments("A recipe's map over a photo, with a detector's boxes.")
x = photo("astronaut", size)

# %% [markdown]
# The recipe "classification" comes with npp, and its allocator learned from the gradients of classifiers, a
# detector and a segmentation network. It needs the photo and the qp, and no network of yours.

# %%
allocator = npp.Recipe.load("classification").allocator
assert allocator is not None
with torch.no_grad():
    offsets = allocator(x[None], 37)  # (1, H / 16, W / 16)
print(f"offsets from {offsets.min():.1f} to {offsets.max():.1f} qp, mean {offsets.mean():.2f}")
plain, mapped = npp.compress(x[None], 37), npp.compress(x[None], 37, qp_map=offsets)

# %% [markdown]
# The map as a colour over the photo in gray.

# %%
tint = (offsets[0] / 6).clamp(-1, 1).repeat_interleave(16, 0).repeat_interleave(16, 1)[:size, :size]
red, blue, gray = (-tint).clamp(min=0), tint.clamp(min=0), x.mean(0)
overlay = torch.stack([gray * (1 - blue) + 0.3 * red, gray * (1 - red - blue), gray * (1 - red) + 0.3 * blue])

# %% [markdown]
# The detector is scikit-image's, for faces; it stands for yours. It took no part in making the map.

# %%
detector = Cascade(lbp_frontal_face_cascade_filename())


def faces(picture: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """Boxes x1, y1, x2, y2 of the faces in a picture (3, H, W) in [0, 1]."""
    pixels = np.ascontiguousarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    found = detector.detect_multi_scale(pixels, 1.2, 1, (size // 8, size // 8), (size, size))
    return [(one["c"], one["r"], one["c"] + one["width"], one["r"] + one["height"]) for one in found]


# %%
captions = [f"plain, {plain.bpp.item():.2f} bpp", "map", f"with the map, {mapped.bpp.item():.2f} bpp"]
boxes = [faces(plain.x_hat[0]), faces(x), faces(mapped.x_hat[0])]
panel([plain.x_hat[0], overlay, mapped.x_hat[0]], captions, out / "bit_map.png", boxes)
