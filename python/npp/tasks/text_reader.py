"""The text recogniser of the package rapidocr: PP-OCRv6, for lines of print and number plates."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from npp.extras import MissingPackageError, require
from npp.tasks.folding import for_judging
from npp.tasks.frozen import plain_torch
from npp.tasks.input_format import InputFormat
from npp.tasks.onnx_files import convert_model

_FILES = "*_rec_*.onnx"
# The package's own preparation: 48 pixels high in the line's shape, padded with gray to 320 pixels.
_INPUT = InputFormat(mean=0.5, std=0.5, size=(48, 320), resize="letterbox", channels="bgr", fill=0.5)


class TextReader(NamedTuple):
    """A text recogniser and its characters.

    Attributes:
        network: returns logits (N, T, C), a step for every 8 pixels of its input's width.
        format: its input format.
        characters: in the order of the classes from 1; class 0 is the blank.
    """

    network: nn.Module
    format: InputFormat
    characters: str


def recogniser_file() -> Path:
    """Path of the recogniser's file, found without the package, which would import OpenCV.

    Raises:
        ModuleNotFoundError: rapidocr is missing; the message says what to install.
        FileNotFoundError: the package contains no recogniser.
    """
    package = importlib.util.find_spec("rapidocr")
    if package is None or package.origin is None:
        raise MissingPackageError("rapidocr", "rapidocr", "--no-deps rapidocr")
    files = sorted((Path(package.origin).parent / "models").glob(_FILES))
    if not files:
        raise FileNotFoundError(f"rapidocr has no recogniser {_FILES} among its models")
    return files[-1]


def _cut_softmax(model: Any) -> None:
    """Removes the final softmax, so that the graph ends with logits."""
    last = model.graph.node[-1]
    if last.op_type == "Softmax" and last.output[0] == model.graph.output[0].name:
        model.graph.output[0].name = last.input[0]
        model.graph.node.remove(last)


def load_text_reader() -> TextReader:
    """Loads the recogniser of rapidocr.

    Raises:
        ModuleNotFoundError: rapidocr, onnx or onnx2torch is missing.
        FileNotFoundError: the installed rapidocr contains no recogniser.
    """
    model = require("onnx", "rapidocr").load(str(recogniser_file()))
    stored = {entry.key: entry.value for entry in model.metadata_props}
    _cut_softmax(model)
    with plain_torch():
        network = for_judging(convert_model(model))
    return TextReader(network, _INPUT, stored["character"].replace("\n", "") + " ")
