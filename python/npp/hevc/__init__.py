"""Arithmetic of HEVC intra pictures that gradients and filters share: quantiser, planes, block DCT."""
