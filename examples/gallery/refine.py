# %% [markdown]
# # Refine one picture
#
# Where the network is there at the encoder, one picture can be optimised for it through the codec: its
# pixels, or only its map of quantiser offsets.
#
# An untrained network hardly reacts to compression, so its divergence (KL) is close to zero, and nearly
# all of the gain is bits.

# %%
import torch
from gallery_pictures import arguments, panel, photo
from torch import nn

import npp

out, size = arguments("Refining for a network.")
torch.manual_seed(0)
x = photo("coffee", size)[None]
layers = [nn.Conv2d(3, 8, 16, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(8 * 16, 5)]
network = nn.Sequential(*layers)  # stands for yours

# %% [markdown]
# `npp.keep_prediction` makes a loss: the KL divergence of what the network says about the decoded
# picture from what it says about this one.

# %%
task = npp.keep_prediction(network, x)
plain = npp.compress(x, 40, effort=1)
refined = npp.refine(x, 40, task, steps=6, effort=1)
mapped = npp.refine(x, 40, task, steps=6, effort=1, over="map")

# %%
pictures, captions = [], []
for name, found in (("plain", plain), ("pixels", refined), ("map", mapped)):
    picture = npp.decompress(found.bitstreams)
    bits = 8 * len(found.bitstreams[0]) / (size * size)
    captions.append(f"{name}: {bits:.2f} bpp, KL {task(picture).item():.1e}")
    pictures.append(picture[0])
print("\n".join(captions))

# %%
panel(pictures, captions, out / "refine.png")
