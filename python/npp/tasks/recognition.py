"""The task of text recognition in pictures of lines, with CTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from npp.checks import brief, is_int, one_of
from npp.extras import require
from npp.gradient.kl_divergence import kl_divergence
from npp.tasks.average_metric import AverageMetric
from npp.tasks.divergence import log_distributions
from npp.tasks.input_format import InputSettings, Prepared
from npp.tasks.logits_task import LogitsTask
from npp.tasks.networks import resolve_network
from npp.tasks.task import (
    Metric,
    all_or_none,
    as_tensor,
    not_a_tensor,
)
from npp.tasks.text_reader import load_text_reader
from npp.torch_defaults import cpu_by_default


class Alphabet:
    """The characters and the blank as classes of a network.

    Args:
        characters: characters in the order of the classes, without the blank.
        blank: class of the blank.

    Raises:
        ValueError: ``characters`` is no text, is empty or has a character twice, or ``blank`` is no class.
    """

    def __init__(self, characters: str, blank: int = 0) -> None:
        if not isinstance(characters, str):
            raise ValueError(
                f"alphabet must be text, in YAML within quotation marks, not {brief(characters)}"
            )
        if not characters:
            raise ValueError("alphabet must have characters")
        twice = [character for character, count in Counter(characters).items() if count > 1]
        if twice:
            raise ValueError(f"alphabet must have every character once, not {min(twice)!r} again")
        if not is_int(blank) or not 0 <= blank <= len(characters):
            raise ValueError(f"blank must be a class from 0 to {len(characters)}, not {blank!r}")
        self.blank = blank
        self.classes: list[str] = [*characters[:blank], "", *characters[blank:]]
        self._index = {character: index for index, character in enumerate(self.classes) if index != blank}

    def encode(self, text: str) -> list[int]:
        """Classes of a text.

        Raises:
            ValueError: a character is not in the alphabet.
        """
        for character in text:
            if character not in self._index:
                raise ValueError(f"{text!r} has the character {character!r}, which the alphabet lacks")
        return [self._index[character] for character in text]

    def decode(self, steps: Tensor) -> str:
        """The text of the most probable classes at the steps (T, C), without repetitions and blanks."""
        return "".join(self.classes[index] for index, _ in groupby(steps.argmax(1).tolist()))


def _steps_of(text: Sequence[int]) -> int:
    """The least number of steps of a text: one for each character, and a blank between equal ones."""
    return len(text) + sum(first == second for first, second in pairwise(text))


class TextTooLongError(ValueError):
    """A text has more characters than a network has steps for the picture."""


def ctc_loss(log_probabilities: Tensor, texts: Sequence[Sequence[int]], blank: int) -> Tensor:
    """-log P(text) in nats (N,) from log-probabilities (N, T, C).

    Raises:
        TextTooLongError: a text needs more than T steps, so that its probability is 0. It is a ValueError.
    """
    count, steps, _ = log_probabilities.shape
    for index, text in enumerate(texts):
        if _steps_of(text) > steps:
            raise TextTooLongError(
                f"targets[{index}] is too long: its {len(text)} characters need {_steps_of(text)} steps, "
                f"counting one between equal neighbours, and the network gives {steps} for this picture"
            )
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.int64, device="cpu")
    flat = [label for text in texts for label in text]
    return F.ctc_loss(
        log_probabilities.transpose(0, 1),
        torch.tensor(flat, dtype=torch.int64, device=log_probabilities.device),
        torch.full((count,), steps, device="cpu"),
        lengths,
        blank=blank,
        reduction="none",
    )


LAYOUTS = ("NTC", "TNC")


class Recognition(LogitsTask):
    """A text recogniser with logits at steps along the line, trained with CTC.

    Targets are strings, or logits or probabilities (T, C): the loss is CTC's -log P(text) for the former,
    KL(target || now) summed over the steps for the latter, in nats. :meth:`targets` gives
    log-probabilities, :meth:`predict` strings, decoded greedily.

    Args:
        model: see :func:`npp.tasks.load_network`, or a network; or ``"rapidocr"``, the recogniser of that
            package, which has its own alphabet, blank and layout.
        alphabet: the characters in the order of the network's classes, without the blank.
        blank: class of CTC's blank.
        layout: ``"NTC"`` or ``"TNC"``, the order of the logits' dimensions.
        only: characters of the alphabet to read, such as those of number plates; all others count as the
            blank. ``None`` for all.
        input: replaces parts of the network's own input by name, or all of it with an
            :class:`npp.tasks.InputFormat`.
        probabilities: whether the network ends in a softmax and returns probabilities instead of logits;
            ``None`` finds out.
    """

    name = "recognition"
    higher_is_better = MappingProxyType(
        {"kl": False, "ctc": False, "word_accuracy": True, "character_error_rate": False}
    )

    def __init__(
        self,
        model: str | nn.Module,
        *,
        alphabet: str | None = None,
        blank: int = 0,
        layout: Literal["NTC", "TNC"] = "NTC",
        only: str | None = None,
        input: InputSettings | None = None,  # noqa: A002
        probabilities: bool | None = None,
    ) -> None:
        if model == "rapidocr":
            if alphabet is not None or blank != 0 or layout != "NTC":
                raise ValueError(
                    "alphabet, blank and layout cannot be set for model 'rapidocr', which has its own"
                )
            reader = load_text_reader()
            network: nn.Module = Prepared(reader.network, reader.format.changed(input))
            alphabet = reader.characters
        else:
            network = resolve_network(model, input)
        if alphabet is None:
            raise ValueError("alphabet must be given, the characters in the order of the network's classes")
        super().__init__(network, probabilities=probabilities, dim=-1)
        one_of("layout", layout, LAYOUTS)
        self._all = Alphabet(alphabet, blank)
        self.alphabet = self._all
        self._wanted: list[int] | None = None
        if only is not None:
            try:
                self.alphabet = Alphabet(only)
                self._wanted = self._all.encode(only)
            except ValueError as error:
                raise ValueError(f"only: {str(error).replace('alphabet must', 'it must')}") from None
        self.layout = layout

    def _log_probabilities(self, images: Tensor) -> Tensor:
        """Log-probabilities (N, T, C)."""
        logits = self._output(images)
        classes = len(self._all.classes)
        if not isinstance(logits, Tensor) or logits.ndim != 3 or logits.shape[-1] != classes:
            raise ValueError(
                f"the network must give logits {self.layout} with C = {classes} (alphabet and blank), "
                f"not {not_a_tensor(logits)}"
            )
        steps = logits.transpose(0, 1) if self.layout == "TNC" else logits
        if len(steps) != len(images):
            raise ValueError(
                f"layout {self.layout!r} does not fit {tuple(logits.shape)} of {len(images)} images"
            )
        log_probabilities = self._logits_of(steps).log_softmax(-1)
        return (
            log_probabilities if self._wanted is None else self._restricted(log_probabilities, self._wanted)
        )

    def _restricted(self, log_probabilities: Tensor, classes: list[int]) -> Tensor:
        """Log-probabilities (N, T, 1 + classes): the blank with all other classes first, then ``classes``."""
        counts_as_blank = torch.ones(
            log_probabilities.shape[-1], dtype=torch.bool, device=log_probabilities.device
        )
        counts_as_blank[classes] = False
        blank = log_probabilities[..., counts_as_blank].logsumexp(-1, keepdim=True)
        return torch.cat([blank, log_probabilities[..., classes]], dim=-1)

    def predict(self, images: Tensor) -> list[Any]:
        """A string for each picture."""
        return [self.alphabet.decode(steps) for steps in self._log_probabilities(images)]

    def _loss(self, now: Tensor, targets: Sequence[Any]) -> Tensor:
        if _all_texts(targets):
            return ctc_loss(now, [self.alphabet.encode(text) for text in targets], self.alphabet.blank)
        clean = [as_tensor(target) for target in targets]
        for steps in clean:
            if steps.shape != now.shape[1:]:
                expected, shape = tuple(now.shape[1:]), tuple(steps.shape)
                raise ValueError(f"targets must be strings or have shape {expected}, not {shape}")
        return kl_divergence(log_distributions(clean, now.device, dim=-1), now, dim=-1).sum(1)

    def loss(self, images: Tensor, targets: Sequence[Any]) -> Tensor:
        """CTC or KL of the whole line, (N,) in nats."""
        return self._loss(self._log_probabilities(images), targets)

    def scores(self, images: Tensor, targets: Sequence[Any]) -> dict[str, Tensor]:
        """The loss as ``"ctc"`` or ``"kl"``, ``"word_accuracy"``, ``"character_error_rate"``, (N,) each."""
        now = self._log_probabilities(images)
        measured = [
            self._compare(self.alphabet.decode(steps), target)
            for steps, target in zip(now, targets, strict=True)
        ]
        scores = {"ctc" if _all_texts(targets) else "kl": self._loss(now, targets)}
        for name in ("word_accuracy", "character_error_rate"):
            values = [measures[name] for measures in measured]
            scores[name] = torch.tensor(values, dtype=torch.float32, device=now.device)
        return scores

    def _compare(self, prediction: str, target: Any) -> dict[str, float]:
        """Scores of one line; edits are counted against the target's length, at least 1."""
        text = target if isinstance(target, str) else self.alphabet.decode(as_tensor(target))
        distance = require("torchmetrics.functional.text", "recognition's scores").edit_distance
        with cpu_by_default():
            edits = float(distance([prediction], [text], reduction="sum"))
        return {"word_accuracy": float(prediction == text), "character_error_rate": edits / max(1, len(text))}

    def metric(self) -> Metric:
        """Fraction of lines that are right, and the character error rate averaged over lines."""
        return AverageMetric(self._compare)


def _all_texts(targets: Sequence[Any]) -> bool:
    return all_or_none(targets, lambda target: isinstance(target, str), "strings")
