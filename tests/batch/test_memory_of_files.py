"""Where memory runs out in the work on a file: the step is told, and a file that is there is not lost."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from memory_limits import printed_by

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")

_SCRIPT = """
import numpy
from PIL import Image
from npp.batch import BatchDecoder, BatchEncoder
from npp.batch.file_encoding import EncodeSettings, encode_to_settings, report_values
from npp.batch.picture_reading import read_source

for name, width, height in (("small", 96, 96), ("large", 3000, 2000)):
    Image.fromarray(numpy.full((height, width, 3), 128, numpy.uint8)).save(f"{name}.bmp")
encoder = BatchEncoder(40, recipe="detection", effort=0)
decoder = BatchDecoder(".bmp", recipe="detection")
small, large = (open(f"{name}.bmp", "rb").read() for name in ("small", "large"))
file = encoder.encode(large).file
decoder.decode(encoder.encode(small).file)
found = [limited(60, lambda: encoder.one(large).error), limited(60, lambda: decoder.one(file).error)]

settings = EncodeSettings(40, measure=True, options={"effort": 0})
source = read_source(large, keep_metadata=False)
qp, plain = encode_to_settings(source, settings)
measured = report_values(source, plain, qp, 1.0, settings)
unmeasured = limited(8, lambda: report_values(source, plain, qp, 1.0, settings))
print(json.dumps([found, measured, unmeasured]))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("memory")
    return printed_by(_SCRIPT, folder)


def test_the_line_about_a_file_names_step_and_size(outcome: Any) -> None:
    encoded, decoded = outcome[0]
    begin, end = r"MemoryError: memory ran out while ", " a picture of 3000x2000 pixels"
    assert re.fullmatch(f"{begin}(preparing|scaling){end}", encoded)
    assert decoded == f"{begin}enlarging{end}"


def test_a_file_whose_psnr_cannot_be_measured_has_none_and_a_note(outcome: Any) -> None:
    (measured, no_notes), (unmeasured, notes) = outcome[1:]
    assert no_notes == [] and set(measured) == set(unmeasured)
    assert unmeasured == {**measured, "psnr": None}
    told = "memory ran out while measuring the PSNR of a picture of 3000x2000 pixels"
    assert notes == [f"PSNR not measured: {told}"]
