"""Runs a script of MMDetection with mmcv's stand-in: ``python with_stand_in.py SCRIPT ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys

from mmcv_stand_in import install

if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
