# %% [markdown]
# # A round trip
#
# A photo is coded at four qps: what the codec leaves of it, and how many bits that takes. The *qp* is
# the quantiser, from 0 (best) to 51 (smallest); six more double the size of the errors that the codec
# may make.

# %%
from gallery_pictures import arguments, panel, photo, psnr

import npp

out, size = arguments("A round trip at four qps.")
x = photo("chelsea", size)  # (3, H, W), floats in [0, 1]

# %% [markdown]
# `npp.compress` codes a batch on all cores. Each picture may have a qp of its own. It gives the decoded
# pictures, the bits per pixel (bpp) and the files.

# %%
qps = (22, 30, 38, 46)
found = npp.compress(x.expand(len(qps), -1, -1, -1), qps)

# %% [markdown]
# PSNR says how similar the pixels are, in dB: more is better. It falls as the qp rises, and so do the
# bits.

# %%
captions = ["original"]
for qp, bpp, x_hat in zip(qps, found.bpp.tolist(), found.x_hat, strict=True):
    captions.append(f"qp {qp}: {bpp:.2f} bpp, {psnr(x, x_hat):.1f} dB")
print("\n".join(captions[1:]))

# %%
panel([x, *found.x_hat], captions, out / "round_trip.png")
