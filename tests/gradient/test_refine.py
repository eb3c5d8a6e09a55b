"""refine: the real objective falls, the files hold what is returned, and the edges behave."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import pictures
from PIL import Image
from torch import Tensor, nn

import npp
import npp.cli
from npp.gradient.prediction import VIEWS, keep_prediction, mirrored, zoomed
from npp.gradient.refine_objective import RefineStep, TaskError, default_weight
from npp.gradient.refinement import refine
from npp.tasks import build_task


def pooled_task(clean: Tensor) -> Any:
    """Keeps the 8x8 means of the clean pictures and does not care about the rest; loss (N,)."""
    target = nn.functional.avg_pool2d(clean, 8)

    def loss(x_hat: Tensor) -> Tensor:
        part = target[: len(x_hat)]
        return 100 * (nn.functional.avg_pool2d(x_hat, 8) - part).square().mean((1, 2, 3))

    return loss


def test_objective_falls_and_the_files_hold_it() -> None:
    x = pictures()
    task = pooled_task(x)
    weight = default_weight(torch.tensor([30.0, 38.0]))
    plain = npp.compress(x, [30, 38], effort=0)
    found = refine(x, [30, 38], task, steps=6, effort=0)
    before = plain.bpp + weight * task(plain.x_hat)
    after = found.bpp + weight * task(found.x_hat)
    assert (after < 0.95 * before).all()
    again = npp.compress(found.x, [30, 38], effort=0)
    assert again.bitstreams == found.bitstreams
    assert torch.equal(npp.decompress(found.bitstreams), found.x_hat)
    assert found.bpp.tolist() == pytest.approx([8 * len(file) / 32**2 for file in found.bitstreams])


def test_best_so_far_is_the_minimum_of_the_history() -> None:
    x = pictures()
    found = refine(x, 35, pooled_task(x), steps=5, effort=0)
    objectives = torch.stack([step.objective for step in found.history])
    assert len(found.history) == 6
    assert torch.equal(found.best_step, objectives.argmin(0))


def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    x = pictures()
    both = refine(x, 35, pooled_task(x), steps=2, effort=0)
    alone = refine(x[:1], 35, pooled_task(x[:1]), steps=2, effort=0)
    assert both.bitstreams[0] == alone.bitstreams[0]


def test_search_effort_differs_from_the_files() -> None:
    x = pictures()
    found = refine(x, 35, pooled_task(x), steps=2, search_effort=0, effort=3)
    assert found.bitstreams == npp.compress(found.x, 35, effort=3).bitstreams


def test_steps_are_taken_at_the_search_effort() -> None:
    x = pictures(2, 64)
    rates = [npp.compress(x, 35, effort=effort).bpp for effort in (0, 2, 5)]
    assert not torch.equal(rates[0], rates[1]) and not torch.equal(rates[1], rates[2])
    given: tuple[dict[str, Any], ...] = ({}, {"search_effort": 2}, {"search_effort": None})
    for settings, expected in zip(given, rates, strict=True):
        found = refine(x, 35, pooled_task(x), steps=0, effort=5, **settings)
        assert torch.equal(found.history[0].bpp, expected)
        assert torch.equal(found.bpp, rates[2])


def test_what_is_slightly_outside_is_clamped_before_the_first_step() -> None:
    outside = pictures() * 1.6 - 0.3
    assert outside.amin() < -0.1 and outside.amax() > 1.1
    inside, task = outside.clamp(0, 1), pooled_task(pictures())
    found, expected = (refine(x, 35, task, steps=3, lr=0.3, effort=0) for x in (outside, inside))
    assert found.bitstreams == expected.bitstreams and torch.equal(found.x, expected.x)
    assert expected.best_step.amin() > 0


def test_refined_pixels_never_leave_their_range() -> None:
    x = torch.cat([pictures() * 0.4, pictures() * 0.4 + 0.6])
    brighter = torch.tensor([-1.0, -1, 1, 1])  # the first two become darker, the others brighter

    def task(x_hat: Tensor) -> Tensor:
        return 1e3 * (1 - brighter * x_hat.mean((1, 2, 3)))

    found = refine(x, 20, task, steps=4, lr=20.0, effort=0)
    assert found.x.amin() == 0 and found.x.amax() == 1
    assert (found.best_step > 0).all()


def test_what_gains_in_the_search_alone_is_given_back() -> None:
    x, losses = pictures(), iter([5.0, 1.0, 2.0, 1.0])  # step 0, step 1, the refined files, those as given

    def task(x_hat: Tensor) -> Tensor:
        return x_hat.mean((1, 2, 3)) * 0 + next(losses)

    found = refine(x, 35, task, steps=1, weight=1e3, effort=0)
    assert found.history[1].objective.amax() < found.history[0].objective.amin()
    assert found.best_step.tolist() == [0, 0]
    assert torch.equal(found.x, x)
    assert found.bitstreams == npp.compress(x, 35, effort=0).bitstreams


def test_what_does_not_gain_is_written_as_given() -> None:
    x = pictures()
    found = refine(x, 35, lambda x_hat: x_hat.mean((1, 2, 3)) * 0, steps=0, effort=0)
    assert torch.equal(found.x, x)
    assert found.best_step.tolist() == [0, 0]
    assert found.bitstreams == npp.compress(x, 35, effort=0).bitstreams


def test_several_tasks_are_averaged() -> None:
    x = pictures()

    def constant(value: float) -> Any:
        return lambda x_hat: x_hat.mean((1, 2, 3)) * 0 + value

    found = refine(x, 35, [constant(1.0), constant(3.0)], steps=0, weight=2.0, effort=0)
    assert found.history[0].loss.tolist() == [2.0, 2.0]
    torch.testing.assert_close(found.history[0].objective, found.history[0].bpp + 4)


def test_losses_of_half_precision_are_averaged_in_float32() -> None:
    """In float16 the mean of 1 and the next greater number, 1 + 2^-10, would be one of them."""

    def constant(value: float) -> Any:
        return lambda x_hat: (x_hat.mean((1, 2, 3)) * 0 + value).half()

    found = refine(pictures(), 35, [constant(1.0), constant(1 + 2**-10)], steps=0, effort=0)
    assert found.history[0].loss.tolist() == [1 + 2**-11] * 2


def test_the_default_weight_halves_every_three_qps_and_is_one_at_34() -> None:
    assert default_weight(torch.tensor([25.0, 34.0, 37.0])).tolist() == [8, 1, 0.5]
    x = pictures()
    found = refine(x, [31, 34], pooled_task(x), steps=0, effort=0).history[0]
    torch.testing.assert_close(found.objective, found.bpp + torch.tensor([2.0, 1.0]) * found.loss)


def test_a_loss_may_weigh_nothing() -> None:
    x = pictures()
    found = refine(x, 35, pooled_task(x), steps=2, weight=0, effort=0)
    assert all(torch.equal(step.objective, step.bpp) for step in found.history)
    assert (found.bpp < npp.compress(x, 35, effort=0).bpp).all()


def test_callback_and_patience_stop_early() -> None:
    x = pictures()
    seen: list[RefineStep] = []

    def stop_at_two(step: RefineStep) -> bool:
        seen.append(step)
        return step.step == 2

    refine(x, 35, pooled_task(x), steps=9, callback=stop_at_two, effort=0)
    assert [step.step for step in seen] == [0, 1, 2]
    # A huge step only makes things worse, so that patience ends it.
    for patience in (1, 2, 4):
        found = refine(x, 35, pooled_task(x), steps=9, lr=30.0, weight=1e6, patience=patience, effort=0)
        assert len(found.history) == 1 + patience


def test_parameters_of_the_task_get_no_gradient() -> None:
    x = pictures()
    conv = nn.Conv2d(3, 1, 3)
    refine(x, 35, lambda x_hat: conv(x_hat).square().mean((1, 2, 3)), steps=1, effort=0)
    assert conv.weight.grad is None


@pytest.mark.parametrize("dense", [False, True])
def test_keep_prediction_is_the_divergence(dense: bool) -> None:
    x = pictures()
    conv = nn.Conv2d(3, 5, 3, stride=2)

    def network(pixels: Tensor) -> Tensor:
        return conv(pixels) if dense else conv(pixels).mean((2, 3))

    task = keep_prediction(network, x)
    torch.testing.assert_close(task(x), torch.zeros(2))
    other = x.flip(3)
    expected = nn.functional.kl_div(
        network(other).log_softmax(1), network(x).log_softmax(1), reduction="none", log_target=True
    ).sum(1)
    torch.testing.assert_close(task(other), expected.reshape(2, -1).mean(1))


def test_keep_prediction_looks_at_every_view() -> None:
    x = pictures()
    other = (x + 0.1 * torch.rand_like(x)).clamp(0, 1)
    conv = nn.Conv2d(
        3, 5, 3, stride=2
    )  # what it sees in a mirror image is not the mirror image of what it sees

    def network(pixels: Tensor) -> Tensor:
        return 10 * conv(pixels).amax((2, 3))

    alone = keep_prediction(network, x)(other)
    mirror = keep_prediction(network, mirrored(x))(mirrored(other))
    both = keep_prediction(network, x, [mirrored])(other)
    assert (alone - mirror).abs().max() > 1e-4
    torch.testing.assert_close(both, (alone + mirror) / 2)


def test_zoomed_is_a_part_at_the_picture_s_size() -> None:
    ramp = torch.linspace(0, 1, 28).expand(1, 3, 42, 28)
    for horizontal, first, last in ((0, 0, 23), (0.5, 2, 25), (1, 4, 27)):
        part = zoomed(ramp, horizontal=horizontal)
        assert part.shape == ramp.shape
        assert part[0, 0, 0, 0] == ramp[0, 0, 0, first] and part[0, 0, 0, -1] == ramp[0, 0, 0, last]
    small = torch.rand(2, 3, 6, 5)
    torch.testing.assert_close(zoomed(small), small)


def test_the_views_look_where_they_say() -> None:
    """Corners of what each of them sees, of a picture in whose pixels their row and column stand."""
    x = (100 * torch.arange(42.0)[:, None] + torch.arange(28.0)).expand(1, 3, 42, 28)
    corners = [
        [[round(view(x)[0, 0, row, column].item()) for column in (0, -1)] for row in (0, -1)]
        for view in VIEWS
    ]
    assert corners == [
        [[27, 0], [4127, 4100]],
        [[302, 325], [3802, 3825]],
        [[27, 4], [3527, 3504]],
        [[604, 627], [4104, 4127]],
    ]


@pytest.mark.parametrize("view", [mirrored, zoomed])
def test_views_are_of_tensors(view: Any) -> None:
    with pytest.raises(TypeError, match=r"^x must be a tensor, not 5"):
        view(5)
    with pytest.raises(ValueError, match=r"^x must be \(.*W\), not \(\)"):
        view(torch.tensor(1.0))


def test_the_views_differ_and_keep_the_shape() -> None:
    x = torch.rand(2, 3, 70, 56)
    seen = [x, *(view(x) for view in VIEWS)]
    assert all(one.shape == x.shape for one in seen)
    assert all((a - b).abs().mean() > 0.1 for i, a in enumerate(seen) for b in seen[:i])


def test_dtype_is_kept() -> None:
    x = pictures().half()
    found = refine(x, 35, lambda x_hat: x_hat.float().var((1, 2, 3)), steps=1, effort=0)
    assert found.x.dtype == found.x_hat.dtype == torch.float16


def test_the_search_of_half_precision_is_as_fine_as_of_float32() -> None:
    """A step is a hundredth of a quantiser step, which float16 would swallow."""
    x = pictures().half()
    half, whole = (refine(one, 25, pooled_task(x.float()), steps=4, effort=0) for one in (x, x.float()))
    for ours, theirs in zip(half.history, whole.history, strict=True):
        assert torch.equal(ours.objective, theirs.objective)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"steps": -1}, ValueError, "^steps must be an integer from 0 to 1000000, not -1"),
        ({"steps": 2.5}, ValueError, "^steps must be an integer from 0 to 1000000, not 2.5"),
        ({"lr": 0.0}, ValueError, "^lr must be above 0"),
        ({"lr": math.inf}, ValueError, "^lr must be a finite number above 0, not inf"),
        ({"lr": "0.1"}, ValueError, "^lr must be a finite number above 0, not '0.1'"),
        ({"callback": 3}, TypeError, "^callback must be a function of a RefineStep or None, not 3"),
        ({"search_effort": 10}, ValueError, "^search_effort must be an integer from 0 to 9, not 10"),
        ({"lossless": True}, npp.EncodeError, "lossless must be False: refine changes what is coded"),
        ({"over": "bits"}, ValueError, "over must be one of 'pixels', 'map', 'both', not 'bits'"),
        ({"map_lr": 0.0}, ValueError, "map_lr must be above 0, not 0.0"),
        ({"map_limit": 60}, ValueError, "map_limit must be a number from 0 to 51, not 60"),
        ({"map_zero_mean": 1}, ValueError, "map_zero_mean must be True or False, not 1"),
        ({"qp_map": torch.zeros(2, 3, 3)}, npp.EncodeError, r"qp_map\[0\] has shape \(3, 3\)"),
        ({"over": "map", "surrogate": "hyperprior"}, ValueError, "takes no qp_map"),
        ({"patience": 0}, ValueError, "^patience must be an integer from 1 to 1000000, not 0"),
        ({"patience": "3"}, ValueError, "^patience must be an integer from 1 to 1000000, not '3'"),
        ({"patience": math.nan}, ValueError, "^patience must be an integer from 1 to 1000000, not nan"),
        ({"weight": -1.0}, ValueError, "^weight must be one finite number of 0 or more"),
        ({"weight": math.inf}, ValueError, "^weight must be one finite number .*, not inf"),
        ({"weight": "1"}, ValueError, "^weight must be one finite number .*, not '1'"),
        ({"weight": torch.ones(3)}, ValueError, "weight"),
        ({"task": 3}, TypeError, "task"),
        ({"task": []}, TypeError, "task"),
        (
            {"task": build_task("match", model=nn.Conv2d(3, 2, 3))},
            TypeError,
            r"task must be a function .*: task.bind\(task.targets\(x\)\)",
        ),
        ({"task": lambda x_hat: x_hat.mean()}, ValueError, "one per picture"),
        ({"task": lambda x_hat: 1.0}, TypeError, "task 0 gave a loss of float"),
        ({"task": lambda x_hat: torch.ones(2, dtype=torch.int64)}, TypeError, "loss of torch.int64"),
        ({"task": lambda x_hat: torch.ones(2, device="meta")}, ValueError, "a loss on meta.* on cpu"),
        ({"x": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, TypeError, "x must be a floating"),
        ({"x": 255 * pictures()}, npp.EncodeError, "x holds values from .* divide samples of 0 to 255"),
        ({"x": pictures()[0]}, npp.EncodeError, r"x has shape \(3, .*\(N, C, H, W\) is needed"),
        ({"qp": 99}, npp.EncodeError, "qp"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], error: type[Exception], text: str) -> None:
    x = pictures()
    arguments = {"x": x, "qp": 35, "task": pooled_task(x), "steps": 1, "effort": 0, **change}
    with pytest.raises(error, match=text):
        refine(**arguments)


@pytest.mark.parametrize(("value", "name"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_a_loss_that_is_not_finite_is_the_task_s(value: float, name: str) -> None:
    x, good, calls = pictures(), pooled_task(pictures()), []

    def fails_at_step_two(x_hat: Tensor) -> Tensor:
        calls.append(1)
        return good(x_hat) + torch.tensor([0, value if len(calls) == 3 else 0.0])

    with pytest.raises(TaskError, match=rf"task 1 gave a loss of {name} for picture 1") as caught:
        refine(x, 35, [good, fails_at_step_two], steps=5, effort=0)
    assert (caught.value.task, caught.value.picture) == (1, 1)
    assert [step.step for step in caught.value.history] == [0, 1]


def test_of_several_pictures_the_first_one_is_named() -> None:
    with pytest.raises(TaskError, match=r"task 0 gave a loss of NaN for picture 1") as caught:
        refine(pictures(3), 35, lambda x_hat: torch.tensor([0, math.nan, math.nan]), steps=1, effort=0)
    assert caught.value.picture == 1


def test_a_gradient_that_is_not_finite_is_the_task_s() -> None:
    x, good = pictures(), pooled_task(pictures())

    def root_of_nothing(x_hat: Tensor) -> Tensor:
        nothing = (0 * x_hat[:, 0]).square().sum((1, 2))
        return nothing.sqrt() * torch.tensor([1.0, 1.0])

    with pytest.raises(TaskError, match="task 1 gave a gradient of NaN for picture 0") as caught:
        refine(x, 35, [good, root_of_nothing], steps=5, effort=0)
    assert [step.step for step in caught.value.history] == [0]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad], ids=["inference_mode", "no_grad"])
def test_refine_works_whatever_the_mode(mode: Any) -> None:
    x = pictures()
    conv = nn.Conv2d(3, 5, 3, stride=2)

    def network(pixels: Tensor) -> Tensor:
        return 10 * conv(pixels).amax((2, 3))

    expected = refine(x, 35, keep_prediction(network, x, VIEWS[:1]), steps=2, effort=0)
    with mode():
        task = keep_prediction(network, x, VIEWS[:1])
        found = refine(x.clone(), 35, task, steps=2, effort=0)
    assert found.bitstreams == expected.bitstreams
    assert refine(x, 35, task, steps=2, effort=0).bitstreams == expected.bitstreams


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_command_line_refines_for_a_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 49, 4))
    with torch.no_grad():
        network[0].weight.mul_(20)  # so sure of itself that what it sees matters beside the bits
    x = pictures(1)
    torch.export.save(torch.export.export(network, (x,)), tmp_path / "network.pt2")
    Image.fromarray((x[0] * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / "photo.png")

    def encoded(*more: str) -> bytes:
        target = tmp_path / f"{len(more)}.bpg"
        command = [
            "encode",
            str(tmp_path / "photo.png"),
            "-o",
            str(target),
            "--qp",
            "30",
            "--effort",
            "0",
            *more,
        ]
        with pytest.raises(SystemExit) as stop:
            npp.cli.main(command)
        assert stop.value.code == 0
        return target.read_bytes()

    model = str(tmp_path / "network.pt2")
    plain, refined, alone = (
        encoded(),
        encoded("--refine", model),
        encoded("--refine", model, "--no-refine-views"),
    )
    assert len(refined) < len(plain)
    assert len(alone) < len(plain) and alone != refined


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_command_line_names_a_wrong_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "network.pt2").write_bytes(b"no network")
    with pytest.raises(SystemExit) as stop:
        npp.cli.main(
            ["encode", str(tmp_path), "-o", str(tmp_path), "--refine", str(tmp_path / "network.pt2")]
        )
    assert stop.value.code == 2
    assert "not a file of torch.export.save" in capsys.readouterr().err


def corner_task(clean: Tensor) -> Any:
    """Looks at the pixels of the upper left quarter and at nothing else."""

    def part(x: Tensor) -> Tensor:
        return x[..., : x.shape[-2] // 2, : x.shape[-1] // 2]

    return lambda x_hat: 300 * (part(x_hat) - part(clean)[: len(x_hat)]).square().mean((1, 2, 3))


def test_a_map_moves_bits_to_where_the_task_looks() -> None:
    x = pictures(2, 96)
    task = corner_task(x)
    weight = default_weight(torch.tensor(35.0))
    plain = npp.compress(x, 35, effort=1)
    found = refine(x, 35, task, over="map", steps=6, effort=1)
    before, after = (one.bpp + weight * task(one.x_hat) for one in (plain, found))
    assert (after < 0.9 * before).all()
    assert torch.equal(found.x, x)
    assert found.qp_map is not None
    for offsets in found.qp_map:
        assert offsets is not None and offsets.shape == (6, 6)
        assert torch.equal(offsets, offsets.round()) and offsets.abs().max() <= 8
        assert offsets[:3, :3].mean() < offsets[3:, 3:].mean() - 3
    again = npp.compress(x, 35, qp_map=found.qp_map, effort=1)
    assert again.bitstreams == found.bitstreams and torch.equal(again.x_hat, found.x_hat)


def test_map_and_pixels_together_gain_more_than_either() -> None:
    x = pictures(2, 96)
    task = corner_task(x)
    weight = default_weight(torch.tensor(35.0))

    def objective(over: Any) -> Tensor:
        found = refine(x, 35, task, over=over, steps=6, effort=0)
        return (found.bpp + weight * task(found.x_hat)).mean()

    both = objective("both")
    assert both < objective("map") and both < objective("pixels")


def test_a_map_within_limits_around_zero() -> None:
    x = pictures(1, 96)
    found = refine(x, 35, corner_task(x), over="map", steps=4, map_limit=3, map_zero_mean=True, effort=0)
    assert found.qp_map is not None and found.qp_map[0] is not None
    assert 1 < found.qp_map[0].abs().max() <= 3 and found.qp_map[0].mean().abs() < 0.5


def test_a_map_starts_where_it_is_told() -> None:
    x = pictures()
    start = torch.tensor([[[-4.4, 0.0], [0.0, 4.0]]] * 2)
    ours = npp.compress(x, 35, qp_map=start.round(), effort=0)
    moved = refine(x, 35, pooled_task(x), over="map", qp_map=start, steps=0, effort=0)
    assert torch.equal(moved.history[0].bpp, ours.bpp)
    # In a picture's refining it stays, also where only one of two pictures has one.
    fixed = refine(x, 35, pooled_task(x), qp_map=[start[0], None], steps=3, effort=0)
    assert fixed.qp_map is not None and fixed.qp_map[1] is None
    assert torch.equal(fixed.qp_map[0], start[0])  # type: ignore[arg-type]
    assert fixed.bitstreams == npp.compress(fixed.x, 35, qp_map=[start[0].numpy(), None], effort=0).bitstreams


def test_a_picture_whose_map_does_not_gain_is_written_as_given() -> None:
    x = pictures()
    # A map that must stay at zeros can only cost or save what its own syntax does.
    still = refine(x, 35, lambda x_hat: 0 * x_hat.mean((1, 2, 3)), over="map", steps=2, map_limit=0, effort=0)
    plain = npp.compress(x, 35, effort=0)
    assert (still.bpp <= plain.bpp).all()
    maps = still.qp_map or [None, None]
    same = [ours == theirs for ours, theirs in zip(still.bitstreams, plain.bitstreams, strict=True)]
    assert [one is None for one in maps] == same


def test_a_picture_s_map_does_not_depend_on_its_neighbours() -> None:
    x = pictures(2, 64)
    both = refine(x, 35, pooled_task(x), over="both", steps=2, effort=0)
    alone = refine(x[:1], 35, pooled_task(x[:1]), over="both", steps=2, effort=0)
    assert both.bitstreams[0] == alone.bitstreams[0]


def _quantised() -> nn.Module:
    """A network whose gradient torch does not know, though its output says that it has one."""
    parts = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 5))
    return torch.ao.quantization.quantize_dynamic(parts, {nn.Linear}, dtype=torch.qint8)


_BLIND = {
    "constant": lambda x: torch.zeros(len(x)),
    "argmax": lambda x: x.argmax(1).float().mean((1, 2)),
    "detached": lambda x: x.detach().mean((1, 2, 3)) * nn.Parameter(torch.ones(())),
}


@pytest.mark.parametrize("over", ["pixels", "map"])
@pytest.mark.parametrize("kind", _BLIND)
def test_a_loss_without_a_gradient_is_the_task_s(kind: str, over: Any) -> None:
    x, good = pictures(), pooled_task(pictures())
    with pytest.raises(TaskError, match="task 1 has no gradient with respect to the pictures") as caught:
        refine(x, 35, [good, _BLIND[kind]], over=over, steps=3, effort=0)
    assert (caught.value.task, caught.value.picture) == (1, 0)
    assert len(refine(x, 35, [good, _BLIND[kind]], over=over, steps=0, effort=0).history) == 1


def test_of_several_tasks_without_a_gradient_the_first_one_is_named() -> None:
    x, blind = pictures(), _BLIND["detached"]
    with pytest.raises(TaskError, match="task 1 has no gradient") as caught:
        refine(x, 35, [pooled_task(x), blind, blind], steps=1, effort=0)
    assert caught.value.task == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantised_network_is_refused() -> None:
    x, network = pictures(), _quantised()
    with pytest.raises((TaskError, RuntimeError), match=r"no gradient .*quantised|derivative .*quantized"):
        refine(x, 35, npp.keep_prediction(network, x), steps=1, effort=0)


def test_a_loss_may_lose_its_gradient_on_the_way() -> None:
    x, calls = pictures(), []

    def flat_from_step_one(x_hat: Tensor) -> Tensor:
        calls.append(1)
        return x_hat.mean((1, 2, 3)) if len(calls) == 1 else torch.zeros(len(x_hat))

    assert len(refine(x, 35, flat_from_step_one, steps=2, effort=0).history) == 3


def test_a_task_without_a_gradient_is_passed_over_where_another_one_has_a_wrong_one() -> None:
    x, calls = pictures(), []

    def flat_from_step_one(x_hat: Tensor) -> Tensor:
        calls.append(1)
        return x_hat.mean((1, 2, 3)) if len(calls) == 1 else torch.zeros(len(x_hat))

    def wrong_from_step_one(x_hat: Tensor) -> Tensor:
        mean = x_hat.mean((1, 2, 3))
        return mean if len(calls) == 1 else (0 * mean).sqrt()  # 0 times an infinite slope

    with pytest.raises(TaskError, match="task 1 gave a gradient of NaN for picture 0") as caught:
        refine(x, 35, [flat_from_step_one, wrong_from_step_one], steps=3, effort=0)
    assert [step.step for step in caught.value.history] == [0, 1]
