"""What each of several trainings reached on its validation photos (docs/research/filters.md).

    python benchmarks/trainings.py runs/a runs/b ... --out docs/results/trainings.json

Reads the folders that `npp train` left: the configuration, and from the TensorBoard logs the BD-rate against
the codec without preprocessor. benchmarks/report.py makes the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from result_files import report_parser, write_report
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

_RATE, _BITS = "val/bd_rate", "val/bpp_to_baseline"


def read_run(folder: Path) -> dict[str, Any]:
    """Settings that differ between the runs here, and the last validation."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    logs = EventAccumulator(str(folder / "logs"))
    logs.Reload()
    rate, bits = (logs.Scalars(name) for name in (_RATE, _BITS))
    return {
        "task": config["tasks"][0]["name"],
        "network": config["preprocessor"]["network"],
        "surrogate": config["codec"]["surrogate"],
        "effort": config["codec"]["effort"],
        "slope_factor": config["trade_off"]["slope_factor"],
        "learning_rate": config["optimiser"]["learning_rate"],
        "steps": config["optimiser"]["steps"],
        "seed": config["seed"],
        "photos": config["validation"]["photos"],
        "validated_at": rate[-1].step + 1,
        "bd_rate": round(rate[-1].value, 2),
        "bpp_to_baseline": round(bits[-1].value, 3),
    }


def main() -> None:
    """Reads, prints and writes."""
    parser = report_parser(__doc__, "results/trainings.json")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    rows = [read_run(folder) for folder in arguments.runs]
    for row in rows:
        print(row)
    write_report(arguments.out, {"runs": rows})


if __name__ == "__main__":
    main()
