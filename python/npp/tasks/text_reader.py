"""The text recogniser that the package rapidocr brings: PP-OCRv6, for lines of print and number plates."""

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
# As the package feeds it: 48 pixels high with the line's own shape, at least 320 wide with gray behind it.
_INPUT = InputFormat(mean=0.5, std=0.5, size=(48, 320), resize="letterbox", channels="bgr", fill=0.5)


class TextReader(NamedTuple):
    """A recogniser with what it can read.

    Attributes:
        network: logits (N, T, C), a step for every 8 pixels of its input's width.
        format: its input.
        characters: in the order of the classes from 1; class 0 is the blank.
    """

    network: nn.Module
    format: InputFormat
    characters: str


def recogniser_file() -> Path:
    """The recogniser's file; the package itself would import OpenCV.

    Raises:
        ModuleNotFoundError: rapidocr is missing; the message tells what to install.
        FileNotFoundError: it has no recogniser inside.
    """
    package = importlib.util.find_spec("rapidocr")
    if package is None or package.origin is None:
        raise MissingPackageError("rapidocr", "rapidocr", "--no-deps rapidocr")
    files = sorted((Path(package.origin).parent / "models").glob(_FILES))
    if not files:
        raise FileNotFoundError(f"rapidocr has no recogniser {_FILES} among its models")
    return files[-1]


def _cut_softmax(model: Any) -> None:
    """Makes the graph end with logits."""
    last = model.graph.node[-1]
    if last.op_type == "Softmax" and last.output[0] == model.graph.output[0].name:
        model.graph.output[0].name = last.input[0]
        model.graph.node.remove(last)


def load_text_reader() -> TextReader:
    """Loads the recogniser of rapidocr.

    Raises:
        ModuleNotFoundError: rapidocr, onnx or onnx2torch is missing.
        FileNotFoundError: the installed rapidocr has no recogniser inside.
    """
    model = require("onnx", "rapidocr").load(str(recogniser_file()))
    stored = {entry.key: entry.value for entry in model.metadata_props}
    _cut_softmax(model)
    with plain_torch():
        network = for_judging(convert_model(model))
    return TextReader(network, _INPUT, stored["character"].replace("\n", "") + " ")
