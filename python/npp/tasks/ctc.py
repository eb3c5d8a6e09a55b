"""Connectionist temporal classification (Graves et al. 2006): from steps to text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F


class Alphabet:
    """Characters and the blank among the classes of a network.

    Args:
        characters: in the order of the classes, without the blank.
        blank: its class.

    Raises:
        ValueError: no characters, one twice, or a blank that is no class.
    """

    def __init__(self, characters: str, blank: int = 0) -> None:
        if not characters:
            raise ValueError("alphabet must have characters")
        twice = {one for one in characters if characters.count(one) > 1}
        if twice:
            raise ValueError(f"alphabet must have every character once, not {sorted(twice)[0]!r} again")
        if not 0 <= blank <= len(characters):
            raise ValueError(f"blank must be a class from 0 to {len(characters)}, not {blank}")
        self.blank = blank
        self.classes: list[str] = [*characters[:blank], "", *characters[blank:]]
        self._index = {one: place for place, one in enumerate(self.classes) if place != blank}

    def encode(self, text: str) -> list[int]:
        """Classes of a text.

        Raises:
            ValueError: a character that is not in the alphabet.
        """
        for one in text:
            if one not in self._index:
                raise ValueError(f"{text!r} has the character {one!r}, which the alphabet lacks")
        return [self._index[one] for one in text]

    def decode(self, steps: Tensor) -> str:
        """Text of the most probable class at each step of (T, C): repeats are one, blanks nothing."""
        return "".join(self.classes[place] for place, _ in groupby(steps.argmax(1).tolist()))


def ctc_loss(log_probabilities: Tensor, texts: Sequence[Sequence[int]], blank: int) -> Tensor:
    """-log P(text) in nats (N,) from log-probabilities (N, T, C); 0 if a text does not fit into T steps."""
    count, steps, _ = log_probabilities.shape
    lengths = torch.tensor([len(text) for text in texts])
    flat = torch.tensor([one for text in texts for one in text], dtype=torch.int64)
    return F.ctc_loss(
        log_probabilities.transpose(0, 1),
        flat.to(log_probabilities.device),
        torch.full((count,), steps),
        lengths,
        blank=blank,
        reduction="none",
        zero_infinity=True,
    )
