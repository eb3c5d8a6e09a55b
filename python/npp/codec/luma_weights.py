"""The weights of red, green and blue in luma."""

from __future__ import annotations

#: Red, green and blue of ITU-R BT.601, which is JPEG's, and BPG's own where nothing else is asked for.
BT601 = (0.299, 0.587, 0.114)

#: Of red and blue, K_r and K_b, by colour space; green has the rest.
LUMA_WEIGHTS = {
    "ycbcr": (BT601[0], BT601[2]),
    "ycbcr_bt709": (0.2126, 0.0722),
    "ycbcr_bt2020": (0.2627, 0.0593),
}
