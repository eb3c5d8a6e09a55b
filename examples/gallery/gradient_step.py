# %% [markdown]
# # A gradient step that lowers bits
#
# The codec rounds and decides, and so has no useful derivative. npp gives its result the gradient of a
# *surrogate*, a differentiable stand-in. One small step against the gradient of the bits makes the real
# file smaller.

# %%
from gallery_pictures import arguments, panel, photo, psnr

import npp

out, size = arguments("A gradient step that lowers real bits.")
x = photo("coffee", size)[None].requires_grad_()

# %% [markdown]
# The forward pass is the real codec: `bpp` counts the bits of the file. The backward pass is the
# surrogate's.

# %%
before = npp.compress(x, 34)
before.bpp.sum().backward()
assert x.grad is not None

# %% [markdown]
# The step changes pixels by one grey level of 255 in the root mean square. Much smaller steps drown in
# the codec's jumps from one decision to another.

# %%
step = x.grad / x.grad.square().mean().sqrt() / 255
moved = (x - step).detach().clamp(0, 1)
after = npp.compress(moved, 34)
saved = 1 - (after.bpp / before.bpp).item()
print(f"{before.bpp.item():.3f} bpp before, {after.bpp.item():.3f} after: {saved:.1%} fewer bits")

# %% [markdown]
# The picture in the middle is the step, made twenty times stronger to be seen: it takes away detail
# that costs many bits.

# %%
captions = [
    "original",
    f"step, 20 times; PSNR {psnr(x[0].detach(), moved[0]):.1f} dB",
    f"decoded, {saved:.1%} fewer bits",
]
panel([x[0].detach(), 0.5 - 20 * step[0], after.x_hat[0]], captions, out / "gradient_step.png")
