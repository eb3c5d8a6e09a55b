"""Many files at once: the unit of work that every engine hands out, parts of a set, and its manifest."""

from npp.batch.batch_units import BatchDecoder, BatchEncoder
from npp.batch.manifest import ManifestFile, ManifestRow, read_manifest, write_manifest
from npp.batch.outcomes import FileResult
from npp.batch.shards import Shard
from npp.batch.verification import verify_row

__all__ = [
    "BatchDecoder",
    "BatchEncoder",
    "FileResult",
    "ManifestFile",
    "ManifestRow",
    "Shard",
    "read_manifest",
    "verify_row",
    "write_manifest",
]
