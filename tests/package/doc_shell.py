"""Blocks of shell run in bash, whose ``npp`` is the command line of this process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

# The words and the environment of each `npp` go to files, and a line to descriptor $ASK; what comes back is
# its exit code, once its standard output is in a file. Nothing else can be started, for there is no PATH:
# what a block calls besides has to be one of `skipped`, or bash ends with 127.
_PROLOGUE = r"""
PATH=/nonexistent
npp() {
  printf '%s\0' "$@" >"$TALK/words"
  "$ENV" -0 >"$TALK/env"
  local code
  echo npp >&"$ASK"
  read -r code <&"$ANSWER"
  printf '%s' "$(<"$TALK/out")"
  return "$code"
}
skip() {
  echo "$*" >&"$ASK"
}
# What SLURM's srun does with one machine: the command once for each task.
srun() {
  [[ $1 == --ntasks ]]
  local -i tasks=$2 task
  shift 2
  for ((task = 0; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_NTASKS=$tasks "$@"
  done
}
"""

#: Runs the command line with these words and environment; its exit code and standard output.
Command = Callable[[list[str], dict[str, str]], tuple[int, str]]


def run_block(code: str, folder: Path, talk: Path, command: Command, skipped: Iterable[str]) -> list[str]:
    """Runs a block, and stops at the first command that fails.

    Args:
        code: the block.
        folder: where it runs.
        talk: a folder that is made for the files between bash and this process.
        command: what ``npp`` is.
        skipped: programs that are not run.

    Returns:
        The calls of programs that were not run, each with its words.

    Raises:
        AssertionError: a command failed, or the block calls a program that is not there.
    """
    talk.mkdir(exist_ok=True)
    functions = "".join(f'{name}() {{ skip {name} "$@"; }}\n' for name in sorted(skipped))
    calls: list[str] = []
    with ExitStack() as stack:
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        asked = stack.enter_context(os.fdopen(ask_read))
        answer = stack.enter_context(os.fdopen(answer_write, "w"))
        given = {"TALK": str(talk), "ENV": "/usr/bin/env", "ASK": str(ask_write), "ANSWER": str(answer_read)}
        process = subprocess.Popen(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", _PROLOGUE + functions + code],
            cwd=folder,
            env=os.environ | given,
            pass_fds=(ask_write, answer_read),
            stderr=stack.enter_context((talk / "errors").open("w")),
            stdout=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        os.close(ask_write)
        os.close(answer_read)
        for line in asked:
            if line != "npp\n":
                calls.append(line.rstrip("\n"))
                continue
            words = (talk / "words").read_text().split("\0")[:-1]
            environment = dict(part.split("=", 1) for part in (talk / "env").read_text().split("\0")[:-1])
            status, output = command(words, environment)
            (talk / "out").write_text(output)
            print(status, file=answer, flush=True)
        status = process.wait()
    assert status == 0, f"exit code {status}: {(talk / 'errors').read_text()}\n{code}"
    return calls
