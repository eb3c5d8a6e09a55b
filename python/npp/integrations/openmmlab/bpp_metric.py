"""The rate of a test, as a metric of mmengine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from npp.extras import require

_evaluator: Any = require("mmengine.evaluator", "npp.integrations.openmmlab")


def _photo_pixels(sample: Mapping[str, Any]) -> int | None:
    """The number of pixels of the photo before the pipeline resized or cropped it, if the sample says it."""
    shape = sample.get("ori_shape")
    return None if shape is None else int(shape[0]) * int(shape[1])


class BppMetric(_evaluator.BaseMetric):  # type: ignore[misc]  # mmengine has no types
    """Means over the test of the rates that :class:`CodedModel` or :class:`BPGRoundTrip` noted in samples.

    - ``bpg/bpp``: bits of the file for each pixel of what was given to be coded: with :class:`CodedModel` the
      picture that the pipeline made for the network, with :class:`BPGRoundTrip` the photo;
    - ``bpg/bpp_of_photo``: for each pixel of the photo, ``ori_shape``, where samples say that;
    - ``bpg/bytes``: of all files together;
    - ``bpg/qp``: the mean qp.

    Args:
        collect_device, prefix, collect_dir: as for every metric of mmengine.
    """

    default_prefix = "bpg"

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Adds the samples of a batch.

        Raises:
            KeyError: a sample says no rate.
        """
        for sample in data_samples:
            if "bpp" not in sample:
                raise KeyError(
                    "no bpp in a sample: BppMetric needs CodedModel, or BPGRoundTrip in the pipeline with "
                    "bpp, bpg_bytes and bpg_qp among the meta_keys of what packs its inputs"
                )
            size, pixels = int(sample["bpg_bytes"]), _photo_pixels(sample)
            of_photo = None if pixels is None else 8 * size / pixels
            self.results.append((float(sample["bpp"]), of_photo, size, float(sample["bpg_qp"])))

    def compute_metrics(self, results: Sequence[tuple[float, float | None, int, float]]) -> dict[str, float]:
        """Means over the samples, and the sum of the bytes; nothing where there are no samples."""
        if not results:
            return {}
        bpp, of_photo, sizes, qps = zip(*results, strict=True)
        photo_bpp = [value for value in of_photo if value is not None]
        metrics = {"bpp": sum(bpp) / len(bpp), "bytes": sum(sizes), "qp": sum(qps) / len(qps)}
        if len(photo_bpp) == len(results):
            metrics["bpp_of_photo"] = sum(photo_bpp) / len(photo_bpp)
        return metrics
