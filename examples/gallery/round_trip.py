"""A photo at four qps: what the codec leaves of it, and how many bits that takes."""

from __future__ import annotations

from gallery_pictures import arguments, panel, photo, psnr

import npp

QPS = (22, 30, 38, 46)


def main() -> None:
    out, size = arguments("A round trip at four qps.")
    x = photo("chelsea", size)
    found = npp.compress(x.expand(len(QPS), -1, -1, -1), QPS)  # one batch, a qp for each picture
    captions = ["original"]
    for qp, bpp, x_hat in zip(QPS, found.bpp.tolist(), found.x_hat, strict=True):
        captions.append(f"qp {qp}: {bpp:.2f} bpp, {psnr(x, x_hat):.1f} dB")
    print("\n".join(captions[1:]))
    panel([x, *found.x_hat], captions, out / "round_trip.png")


if __name__ == "__main__":
    main()
