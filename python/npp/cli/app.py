"""The commands put together, and how the process begins and ends."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer
from PIL import Image

from npp.batch.outcomes import describe
from npp.cli.decode_command import decode
from npp.cli.encode_command import encode
from npp.cli.evaluate_command import evaluate
from npp.cli.file_reports import OK, SOME_FAILED
from npp.cli.info_command import info
from npp.cli.recipes_command import recipes
from npp.cli.shared_options import EXIT_CODES
from npp.cli.streams import say, silence_output
from npp.cli.train_command import app as train_app
from npp.cli.verify_command import verify
from npp.codec.build import __version__

app = typer.Typer(
    name="npp",
    help=f"Encodes and decodes BPG pictures. {EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (encode, decode, verify, info, recipes):
    app.command(epilog=EXIT_CODES)(_command)
app.add_typer(train_app)
app.command(epilog=EXIT_CODES)(evaluate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"npp {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exception, so that temporary files go away."""
    raise SystemExit(128 + signal.SIGTERM)


def run(arguments: Sequence[str] | None) -> NoReturn:
    """Runs the command line and exits."""
    signal.signal(signal.SIGTERM, _terminate)
    # npp has its own limit on pixels and says which file is above it.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        app(None if arguments is None else list(arguments))
    except OSError as error:  # files have been seen to by the commands: what is left is standard output
        silence_output()
        if not isinstance(
            error.__cause__ or error, BrokenPipeError
        ):  # a reader that has gone has seen enough
            say(f"npp: {describe(error)}")
        sys.exit(SOME_FAILED)
    sys.exit(OK)
