"""The options that only ``npp encode`` has, with their help."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from npp.cli.exit_codes import UsageError
from npp.cli.help_panels import CODEC, MACHINES, RATE, RECIPE, REPORT, SHARING
from npp.cli.share_state import STATE_NAME
from npp.codec.options import CHROMA_NAMES, COLOR_SPACE_NAMES


class Engine(str, Enum):
    """What distributes the work."""

    threads = "threads"
    ray = "ray"


class Sensitivity(str, Enum):
    """The source of the sensitivities by which pictures share bits."""

    none = "none"
    predicted = "predicted"


def _refuse_quality(given: str | None) -> None:
    """Refuses JPEG's ``--quality`` and names the options of BPG for it."""
    if given is not None:
        raise UsageError(
            f"--quality {given}: BPG has --qp instead, from 0, the best, to 51, the smallest file"
        )


# Rate and quality.
QpOption = Annotated[
    int | None, typer.Option(help="Quantiser, 0 (best) to 51.", show_default="29", rich_help_panel=RATE)
]
TargetBppOption = Annotated[
    float | None,
    typer.Option(
        help="Use each file's smallest qp at which it has at most so many bits per pixel.",
        rich_help_panel=RATE,
    ),
]

#: Eager, so that the message appears even if an argument is missing.
QualityOption = Annotated[
    str | None, typer.Option("--quality", hidden=True, is_eager=True, callback=_refuse_quality)
]

# Options of the codec, with the names of npp.CodecOptions.
EffortOption = Annotated[
    int | None, typer.Option(help="0 (fastest) to 9.", show_default="8", rich_help_panel=CODEC)
]
ChromaOption = Annotated[
    str | None, typer.Option(help=" ".join(CHROMA_NAMES), show_default="420", rich_help_panel=CODEC)
]
BitDepthOption = Annotated[
    int | None, typer.Option(help="8, 10 or 12.", show_default="8", rich_help_panel=CODEC)
]
ColorSpaceOption = Annotated[
    str | None, typer.Option(help=" ".join(COLOR_SPACE_NAMES), show_default="ycbcr", rich_help_panel=CODEC)
]
LimitedRangeOption = Annotated[
    bool, typer.Option("--limited-range", help="Video range.", rich_help_panel=CODEC)
]
LosslessOption = Annotated[
    bool,
    typer.Option(
        "--lossless",
        help="Exact for 8-bit RGB, unless --chroma, --color-space, --premultiplied or --limited-range say"
        " otherwise.",
        rich_help_panel=RATE,
    ),
]
AlphaQpOption = Annotated[
    int | None, typer.Option(help="Quantiser of alpha.", show_default="the qp", rich_help_panel=RATE)
]
PremultipliedOption = Annotated[
    bool, typer.Option("--premultiplied", help="Store colour multiplied by alpha.", rich_help_panel=CODEC)
]
TuneOption = Annotated[
    str | None, typer.Option(help="ssim or machine.", show_default="ssim", rich_help_panel=CODEC)
]
DeblockOption = Annotated[
    int | None,
    typer.Option(
        help="Filter against block edges, -6 to 6.",
        show_default="as effort and tune say",
        rich_help_panel=CODEC,
    ),
]
ChromaQpOffsetOption = Annotated[
    int | None,
    typer.Option(
        help="Colour's quantiser against luma's, -12 to 12.",
        show_default="0; machine: -3",
        rich_help_panel=CODEC,
    ),
]
PsyRdOption = Annotated[
    float | None,
    typer.Option(
        help="Keep texture even where pixels come out less exact, 0 to 5.",
        show_default="0",
        rich_help_panel=CODEC,
    ),
]

# Preparing pictures for a network.
RefineOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Network of torch.export whose prediction is to be kept; slow.",
        rich_help_panel=RECIPE,
    ),
]
RefineViewsOption = Annotated[
    bool | None,
    typer.Option(
        help="Let it look at the mirror image and at parts too; not for text.", rich_help_panel=RECIPE
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="RECIPE",
        help="Prepare stills for a task: a name that npp recipes lists, or a file.",
        rich_help_panel=RECIPE,
    ),
]
QpMapOnlyOption = Annotated[
    bool, typer.Option("--qp-map-only", help="Of the recipe use the map alone.", rich_help_panel=RECIPE)
]
NoScaleOption = Annotated[
    bool, typer.Option("--no-scale", help="Keep the size of pictures.", rich_help_panel=RECIPE)
]
NoFilterOption = Annotated[
    bool, typer.Option("--no-filter", help="Leave the pixels alone.", rich_help_panel=RECIPE)
]
NoMapOption = Annotated[bool, typer.Option("--no-map", help="One qp for all blocks.", rich_help_panel=RECIPE)]

# Sharing bits over all files.
ShareOption = Annotated[
    bool,
    typer.Option(
        "--share",
        help="Choose qps so that all files together lose least at their size.",
        rich_help_panel=SHARING,
    ),
]
TotalOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Bytes of all files together, as 12M or 500k.", rich_help_panel=SHARING
    ),
]
MeanBppOption = Annotated[
    float | None,
    typer.Option(help="Bits per pixel of all files together, instead of --total.", rich_help_panel=SHARING),
]
SensitivityOption = Annotated[
    Sensitivity | None,
    typer.Option(
        help="Which pictures lose more, as the recipe sees them.",
        show_default="predicted, where a recipe has an allocator",
        rich_help_panel=SHARING,
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Network that says which pictures lose more: a file, a name, or a task's YAML.",
        rich_help_panel=SHARING,
    ),
]
KeepStateOption = Annotated[
    bool,
    typer.Option(
        "--keep-state", help=f"Keep OUT/{STATE_NAME}, for another --total.", rich_help_panel=SHARING
    ),
]

# Parts of a set, and several machines.
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="RANK/WORLD",
        help="Encode this part of the files only; auto asks torchrun's or SLURM's variables.",
        rich_help_panel=MACHINES,
    ),
]
ManifestOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Write a line of JSON about every file, for npp verify; goes on with --skip-existing.",
        rich_help_panel=REPORT,
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        help="ray: on the machines of a Ray cluster, or with Ray on this one.", rich_help_panel=MACHINES
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster, as ray.init takes it.", show_default="RAY_ADDRESS", rich_help_panel=MACHINES
    ),
]
