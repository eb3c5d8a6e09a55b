"""Work on many files: encoders and decoders for batches, parts of a set, and manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npp.lazy import exported_when_touched

if TYPE_CHECKING:
    from npp.batch.batch_units import BatchDecoder, BatchEncoder
    from npp.batch.manifest import ManifestFile, ManifestRow, read_manifest, write_manifest
    from npp.batch.outcomes import FileResult
    from npp.batch.rate_loss_curves import LossCurves, loss_curves, rate_curves
    from npp.batch.shards import Shard
    from npp.batch.verification import verify_row
else:
    # `npp info` describes errors as batches do, but must not import torch.
    __getattr__, __dir__ = exported_when_touched(
        __name__,
        {
            "BatchDecoder": "batch_units",
            "BatchEncoder": "batch_units",
            "FileResult": "outcomes",
            "LossCurves": "rate_loss_curves",
            "ManifestFile": "manifest",
            "ManifestRow": "manifest",
            "Shard": "shards",
            "loss_curves": "rate_loss_curves",
            "rate_curves": "rate_loss_curves",
            "read_manifest": "manifest",
            "verify_row": "verification",
            "write_manifest": "manifest",
        },
    )

__all__ = [
    "BatchDecoder",
    "BatchEncoder",
    "FileResult",
    "LossCurves",
    "ManifestFile",
    "ManifestRow",
    "Shard",
    "loss_curves",
    "rate_curves",
    "read_manifest",
    "verify_row",
    "write_manifest",
]
