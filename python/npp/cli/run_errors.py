"""How ``npp train`` and ``npp evaluate`` end when something is missing, wrong or stopped."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from npp.batch.outcomes import describe
from npp.cli.exit_codes import SOME_FAILED, STOPPED, USAGE
from npp.cli.streams import say
from npp.config.surroundings import missing_package
from npp.photos.finding import PhotoWarning

_PACKAGE = Path(__file__).parents[1]


#: In warnings of torch's C++, which Python takes for warnings of the line that called torch.
_OF_TORCH = "Triggered internally at"


def _is_for_people(message: Warning | str, category: type[Warning], filename: str) -> bool:
    """Whether a warning is npp's own, and so about the user's input, not about code."""
    is_npps = _PACKAGE in Path(filename).parents and _OF_TORCH not in str(message)
    return issubclass(category, PhotoWarning) or (is_npps and issubclass(category, UserWarning))


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Prints npp's own warnings as plain lines, each once; other warnings are not changed."""
    show_default = warnings.showwarning
    messages: set[str] = set()

    def show(
        message: Warning | str, category: type[Warning], filename: str, *arguments: Any, **keywords: Any
    ) -> None:
        if _is_for_people(message, category, filename):
            if str(message) not in messages:  # several searches may find one folder
                say(f"npp: {message}")
            messages.add(str(message))
        else:
            show_default(message, category, filename, *arguments, **keywords)

    with warnings.catch_warnings():
        # Every photo is named; repetitions are left out above.
        warnings.simplefilter("always", PhotoWarning)
        warnings.showwarning = show
        yield


def _placed(message: str, where: Path | None) -> str:
    """The message with the file in front, unless it names the file already."""
    return message if where is None or str(where) in message else f"{where}: {message}"


@contextmanager
def explained(
    extra: str,
    after_a_stop: Callable[[], str],
    where: Path | None = None,
    begun: Callable[[], bool] = lambda: False,
    speaks: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Turns errors within the block into one line for people and an exit code.

    Within the block standard output goes to standard error, for only the result belongs on standard output.

    Args:
        extra: the extra of npp that the command needs.
        after_a_stop: returns the text that says how to continue after Ctrl-C.
        where: the file of settings, with which messages about errors begin.
        begun: whether work has been done, so that an error is a failure and not wrong usage.
        speaks: whether this process is the one of several that says that all were stopped.
    """
    try:
        with redirect_stdout(sys.stderr), _warnings_as_lines():
            yield
    except ModuleNotFoundError as error:
        say(f"npp: {missing_package(error, extra)}")
        raise typer.Exit(USAGE) from None
    except (OSError, ValueError) as error:
        say(f"npp: {_placed(describe(error), where)}")
        raise typer.Exit(SOME_FAILED if begun() else USAGE) from None
    except ArithmeticError as error:
        say(f"npp: {error}")
        raise typer.Exit(SOME_FAILED) from None
    except KeyboardInterrupt:
        if speaks():
            say(f"npp: stopped; {after_a_stop()}")
        raise typer.Exit(STOPPED) from None
