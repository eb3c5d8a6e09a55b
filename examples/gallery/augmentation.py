# %% [markdown]
# # Coded pictures as augmentation
#
# A network that learned on coded pictures is less surprised by them later. `npp.transforms.BPG` codes
# each sample of a dataset at a random qp. It takes what torchvision's transforms take, boxes and masks
# beside the picture included, and needs neither torchvision nor a gradient.

# %%
import torch
from gallery_pictures import arguments, panel, photo

import npp

out, size = arguments("Random BPG as augmentation.")
torch.manual_seed(5)
x = photo("chelsea", size)

# %% [markdown]
# Its place is in front of normalising. `p` says how often a sample is coded at all; the draws are
# torch's, so that `torch.manual_seed` repeats them.

# %%
augment = npp.transforms.BPG(qp=(28, 46), p=0.75, effort=0)
coded = [augment(x) for _ in range(4)]

# %%
captions = [
    "left as it is" if torch.equal(one, x) else f"changed by {255 * (one - x).abs().mean():.1f} grey levels"
    for one in coded
]
print("\n".join(captions))
panel(coded, captions, out / "augmentation.png")
