"""Networks that use pictures, behind one interface: their loss for training, their scores for evaluation.

Needs torch; metrics need torchmetrics, and some networks the extra ``npp[tasks]``.
"""

from npp.tasks.average_metric import AverageMetric
from npp.tasks.builder import available_tasks, build_task
from npp.tasks.cell_format import CellFormat
from npp.tasks.detectors import Detector
from npp.tasks.input_format import InputFormat, Prepared
from npp.tasks.networks import load_network
from npp.tasks.task import Metric, Task

__all__ = [
    "AverageMetric",
    "CellFormat",
    "Detector",
    "InputFormat",
    "Metric",
    "Prepared",
    "Task",
    "available_tasks",
    "build_task",
    "load_network",
]
