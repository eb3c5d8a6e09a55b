"""Data sets on many machines with Ray Data (``pip install 'npp[ray]'``)."""

from npp.integrations.ray.ray_run_types import Cluster, RaySummary
from npp.integrations.ray.ray_runs import decode, encode
from npp.integrations.ray.ray_shared import Sharing

__all__ = ["Cluster", "RaySummary", "Sharing", "decode", "encode"]
