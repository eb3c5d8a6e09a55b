"""The strip of pictures in a training's log."""

from __future__ import annotations

import torch

from npp.training.recipe_model import TrainedBatch, change_strip


def test_strip_shows_four_pictures_a_row() -> None:
    x = torch.full((2, 3, 8, 8), 0.5)
    coded = TrainedBatch(x, x + 0.05, None, x - 0.1, torch.zeros(2))
    picture = change_strip(x, coded)
    assert picture.shape == (3, 2 * 12, 4 * 12)
    centres = picture[0, 4::12, 4::12]
    torch.testing.assert_close(centres, torch.tensor([[0.5, 0.55, 0.4, 0.9]] * 2))
    with_map = change_strip(x, coded._replace(qp_map=torch.tensor([[[3.0]], [[-6.0]]])))
    torch.testing.assert_close(with_map[:, :, :48], picture)
    assert with_map[0, 4::12, 52].tolist() == [0.75, 0.0]
