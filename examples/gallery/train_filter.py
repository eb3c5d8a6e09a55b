# %% [markdown]
# # Train a filter
#
# A filter in front of the codec learns to spend fewer bits while a network goes on saying the same. The
# loop is written out, without a framework; `npp train` does the same with schedules, validation and
# checkpoints.

# %%
import torch
from gallery_pictures import arguments, panel, photo

import npp
from npp.tasks import build_task

out, size = arguments("Training a filter for a network.")
torch.manual_seed(0)
photos = torch.stack([photo(name, size) for name in ("chelsea", "coffee", "astronaut", "rocket")])

# %% [markdown]
# Any network will do; this one stands for yours. A *task* is a frozen network with its loss. The task
# "match" keeps the network's output, whatever it means, so that no labels are needed; its loss is the
# change of the output, squared, as a part of the output's energy.

# %%
layers = [torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, 2, 1), torch.nn.ReLU()]
network = torch.nn.Sequential(*layers, torch.nn.Conv2d(16, 16, 1))
task = build_task("match", model=network, distance="mse")
clean = task.targets(photos)

# %% [markdown]
# The filter changes nothing until it is trained. In each step the photos go through it and through the
# real codec. The total is bits per pixel plus the weighted loss of the task: more weight keeps more of
# the picture.

# %%
steps, qp, weight = 12, 37, 300.0
filter_ = npp.Preprocessor()
optimiser = torch.optim.Adam(filter_.parameters(), lr=3e-3)
first = npp.compress(photos, qp, effort=0)
for step in range(steps):
    found = npp.compress(filter_(photos, qp), qp, effort=0)
    loss = task.loss(found.x_hat, clean).mean()
    total = found.bpp.mean() + weight * loss
    optimiser.zero_grad()
    total.backward()
    optimiser.step()
    print(f"step {step}: {found.bpp.mean().item():.3f} bpp, loss {loss.item():.4f}")

# %% [markdown]
# The file is for `npp.Preprocessor.load`, for `npp evaluate`, or for a recipe.

# %%
filter_.save(out / "filter.safetensors")
with torch.no_grad():
    filtered = filter_(photos, qp)
saved = 1 - float(npp.compress(filtered, qp, effort=0).bpp.mean() / first.bpp.mean())

# %%
change = 0.5 + 8 * (filtered[0] - photos[0])
captions = ["photo", f"filtered, {saved:.1%} fewer bits", "change, 8 times"]
panel([photos[0], filtered[0], change], captions, out / "train_filter.png")
