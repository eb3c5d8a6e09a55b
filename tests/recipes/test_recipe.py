"""A recipe does what its parts do one after another, and survives its file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import EXIF
from PIL import Image

import npp
from npp.allocation import Allocator
from npp.codec.metadata import Metadata
from npp.recipes import Parts, Recipe, ScaleRule, coded_batches
from npp.recipes.scale import enlarge, shrink
from npp.recipes.size_extension import with_size


@pytest.fixture(scope="module")
def allocator() -> Allocator:
    """Untrained, with layers that say something: its maps are not rounded to nothing, and differ by qp."""
    torch.manual_seed(1)
    made = Allocator().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.125 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def preprocessor() -> npp.Preprocessor:
    return npp.Preprocessor("blur", sigmas={22: 0.5, 44: 1.0}).eval()


@pytest.fixture(scope="module")
def recipe(allocator: Allocator, preprocessor: npp.Preprocessor) -> Recipe:
    return Recipe(
        "test",
        scale=ScaleRule({36: 0.5}),
        preprocessor=preprocessor,
        allocator=allocator,
        options={"effort": 1, "tune": "machine"},
        qp=38,
        card="made for a test",
    ).eval()


@pytest.fixture(scope="module")
def x(photo: np.ndarray) -> torch.Tensor:
    """(2, 3, 80, 112) in [0, 1]."""
    one = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    return torch.stack([one, one.flip(2)])


def test_parts_follow_each_other(recipe: Recipe, x: torch.Tensor) -> None:
    """Scale, filter, map, codec: by hand the same as through the recipe."""
    assert recipe.preprocessor is not None
    assert recipe.allocator is not None
    small = shrink(x, (40, 56))
    filtered = recipe.preprocessor(small, 38)
    by_hand = npp.compress(filtered, 38, qp_map=recipe.allocator(filtered, 38), effort=1, tune="machine")
    found = recipe.compress(x, 38)
    assert found.bitstreams == by_hand.bitstreams
    assert torch.equal(found.x_hat, enlarge(by_hand.x_hat, (80, 112)))
    assert torch.allclose(found.bpp, by_hand.bpp / 4)
    assert found.bpp.tolist() == pytest.approx([8 * len(file) / (80 * 112) for file in found.bitstreams])


def test_every_picture_has_its_own_qp_and_size(recipe: Recipe, x: torch.Tensor) -> None:
    found = recipe.compress(x, [30, 40])
    for i, qp in enumerate((30, 40)):
        alone = recipe.compress(x[i : i + 1], qp)
        assert torch.equal(found.x_hat[i], alone.x_hat[0])
        assert found.bitstreams[i] == alone.bitstreams[0]
    assert [npp.probe(file).height for file in found.bitstreams] == [80, 40]


def test_every_part_is_told_the_qp_that_was_asked_for(recipe: Recipe, x: torch.Tensor) -> None:
    """The recipe's own, 38, has another size, filter and map."""
    assert recipe.preprocessor is not None and recipe.allocator is not None
    ready = recipe.prepare(x, 30)
    filtered = recipe.preprocessor(x, 30)
    assert torch.equal(ready.x, filtered) and not torch.equal(filtered, recipe.preprocessor(x, 38))
    wanted, own = recipe.allocator(filtered, 30), recipe.allocator(filtered, 38)
    assert ready.qp_map is not None and torch.equal(ready.qp_map, wanted)
    assert not torch.equal(wanted.round(), own.round())


def test_parts_can_be_left_out(recipe: Recipe, x: torch.Tensor) -> None:
    plain = recipe.encode(x, 38, parts=Parts(scale=False, filter=False, qp_map=False))
    assert plain == npp.encode(x, 38, effort=1, tune="machine")
    mapped = recipe.encode(x, 38, parts=Parts(scale=False, filter=False))
    assert mapped != plain
    assert all(npp.probe(file).block_qps for file in mapped)
    assert [npp.probe(file).height for file in recipe.encode(x, 38, parts=Parts(scale=True))] == [40, 40]


def test_files_are_those_of_the_round_trip_but_for_the_size(recipe: Recipe, x: torch.Tensor) -> None:
    files, found = recipe.encode(x), recipe.compress(x)
    for file, trip, x_hat in zip(files, found.bitstreams, found.x_hat, strict=True):
        assert torch.equal(npp.decode(file), npp.decode(trip))
        assert len(file) - len(trip) < 24, "the size costs a few bytes"
        assert recipe.decode(file).shape == (3, 80, 112)
        assert torch.allclose(recipe.decode(file, dtype=torch.float32), x_hat, atol=1e-6)


def test_gradients_reach_the_picture_and_every_part(recipe: Recipe, x: torch.Tensor) -> None:
    x = x.clone().requires_grad_()
    recipe.compress(x, [33, 40]).bpp.sum().backward()
    assert x.grad is not None
    assert all(bool(one.abs().sum() > 0) for one in x.grad)
    assert recipe.allocator is not None
    grads = [p.grad for p in recipe.allocator.parameters() if p.grad is not None]
    assert any(bool(grad.abs().sum() > 0) for grad in grads)
    recipe.zero_grad()


FORMS = {
    "RGB": lambda photo: photo,
    "PIL": Image.fromarray,
    "gray": lambda photo: photo[..., 0],
    "gray with alpha": lambda photo: Image.fromarray(photo).convert("LA"),
    "RGBA": lambda photo: np.dstack([photo, photo[..., :1]]),
    "16 bits": lambda photo: photo.astype(np.uint16) * 257,
    "floats": lambda photo: photo / np.float32(255),
    "tensor": lambda photo: torch.from_numpy(photo).permute(2, 0, 1),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("qp", [30, 40])
def test_every_form_of_picture(form: object, qp: int, recipe: Recipe, photo: np.ndarray) -> None:
    image = form(photo)  # type: ignore[operator]
    decoded = recipe.decode(recipe.encode(image, qp))
    expected = npp.decode(npp.encode(image, 20, effort=1))
    assert decoded.shape == expected.shape
    error = (decoded.float() - expected.float()).square().mean().sqrt()
    assert error < 40, "not the same picture"


def test_deep_pictures_come_back_deep(recipe: Recipe, deep_photo: np.ndarray) -> None:
    file = recipe.encode(deep_photo, 40, bit_depth=10)
    found = recipe.decode(file, dtype=torch.uint16)
    assert found.dtype == torch.uint16
    assert found.shape == (3, 80, 112)
    error = found.int() - torch.from_numpy(deep_photo.astype(np.int32)).permute(2, 0, 1)
    assert error.abs().float().mean() < 0.1 * 65535


def test_errors_stand_in_their_place(recipe: Recipe, photo: np.ndarray) -> None:
    bad = np.full((80, 112, 3), np.nan, np.float32)
    with pytest.raises(npp.EncodeError, match=r"image\[1\]") as caught:
        recipe.encode([photo, bad, photo], 30, parts=Parts(filter=False))
    assert caught.value.index == 1
    first, second, third = recipe.encode([photo, bad, photo], 30, parts=Parts(filter=False), errors="return")
    assert isinstance(second, npp.EncodeError)
    assert first == third == recipe.encode(photo, 30, parts=Parts(filter=False))


@pytest.mark.parametrize("parts", [Parts(), Parts(scale=False), Parts(scale=False, qp_map=False)], ids=str)
def test_pictures_of_another_scale_are_refused_before_a_part_clamps_them(
    recipe: Recipe, x: torch.Tensor, parts: Parts
) -> None:
    wide = x * 255
    for call in (recipe.compress, recipe.encode):
        with pytest.raises(
            ValueError, match=r"(x|image)\[0\] holds values from .* divide samples of 0 to 255"
        ):
            call(wide, 40, parts=parts)
    with pytest.raises(npp.EncodeError, match=r"x\[0\] holds values from"):
        recipe.refine(wide, 40, lambda pictures: pictures.mean((1, 2, 3)), parts=parts, steps=0)
    with pytest.raises(TypeError, match=r"x must be floating, in .* not torch\.uint8; x\.float\(\) / 255"):
        recipe.compress(wide.to(torch.uint8), 40, parts=parts)


def test_nan_is_named_as_the_pictures_and_not_as_the_maps(recipe: Recipe, x: torch.Tensor) -> None:
    broken = x.clone()
    broken[1, 0, 3, 3] = torch.nan
    with pytest.raises(npp.EncodeError, match=r"^x\[1\] holds NaN") as caught:
        recipe.compress(broken, 40)
    assert caught.value.index == 1
    with pytest.raises(npp.EncodeError, match=r"^x\[1\] holds NaN") as caught:
        recipe.compress(broken, [40, 30])  # which are coded apart
    assert caught.value.index == 1
    good, bad, other = recipe.encode([x[0], broken[1], x[0]], 40, errors="return")
    assert good == other == recipe.encode(x[0], 40)
    assert bad.index == 1
    assert str(bad).startswith("image[1] holds 1 NaN value(s)")
    with pytest.raises(npp.EncodeError, match=r"^image holds 1 NaN"):
        recipe.encode(broken[1], 40)
    # Pictures of other sizes are worked on apart, and yet named by their places.
    small = recipe.encode([x[0], x[0, :, :32, :48], broken[1, :, :16, :16]], 40, errors="return")[2]
    assert str(small).startswith("image[2] holds 1 NaN")


@pytest.mark.parametrize("shape", [(0, 3, 32, 32), (3, 32, 32), (1, 2, 32, 32)], ids=str)
def test_wrong_shapes_are_named(recipe: Recipe, shape: tuple[int, ...]) -> None:
    for call in (recipe.compress, lambda given: recipe.refine(given, None, lambda p: p.mean((1, 2, 3)))):
        with pytest.raises(npp.EncodeError, match=r"^x (has|is)"):
            call(torch.zeros(shape))


def test_it_works_in_inference_mode(recipe: Recipe, x: torch.Tensor) -> None:
    def task(pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - 0.5).square().mean((1, 2, 3))

    wanted = recipe.refine(x, 40, task, steps=1)
    with torch.inference_mode():
        found = recipe.refine(x.clone(), 40, task, steps=1)
    assert found.bitstreams == wanted.bitstreams


def test_an_allocator_in_half_precision_gives_nearly_the_same_map(recipe: Recipe, x: torch.Tensor) -> None:
    assert recipe.allocator is not None
    half = copy.deepcopy(recipe).half()
    assert half.allocator is not None
    maps, wanted = half.allocator(x, 40), recipe.allocator(x, 40)
    assert maps.dtype == torch.float32
    assert 0 < float((maps - wanted).detach().abs().max()) < 0.1
    assert len(half.encode(x, 40)) == 2


def test_options_of_numpys_numbers_are_saved(tmp_path: Path) -> None:
    Recipe("numbers", options={"effort": np.int64(3)}).save(tmp_path / "numbers.safetensors")
    assert Recipe.load(tmp_path / "numbers.safetensors").options == {"effort": 3}


@pytest.mark.parametrize("options", [True, 5, "effort", [1], ["effort"]])
def test_damaged_options_of_a_file_are_refused(options: Any, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    made = Recipe("damaged")
    made.options = options
    made.save(path)
    with pytest.raises(ValueError, match=r"damaged\.safetensors: options must be a mapping"):
        Recipe.load(path)


def test_metadata_is_kept(recipe: Recipe, photo: np.ndarray) -> None:
    file = recipe.encode(photo, 40, metadata=npp.Metadata(exif=b"II*\0"))
    assert npp.probe(file).metadata.exif == b"II*\0"


def test_all_frames_that_are_enlarged_count_for_the_limit_on_pixels(recipe: Recipe) -> None:
    frames = [np.full((16, 16, 3), 9 * i, np.uint8) for i in range(5)]
    file = npp.encode_animation(frames, 40, durations=0.1, metadata=with_size(None, 32, 30))
    assert recipe.decode(file).shape == (5, 3, 32, 30)
    npp.set_max_pixels(5 * 32 * 30 - 1)
    try:
        assert npp.decode(file).shape == (5, 3, 16, 16)
        with pytest.raises(
            npp.DecodeError, match="animation was 5 frames of 30x32 = 4800 pixels; at most 4799"
        ):
            recipe.decode(file)
    finally:
        npp.set_max_pixels(None)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_frames_that_are_enlarged_are_rounded_to_the_nearest(photo: np.ndarray, dtype: torch.dtype) -> None:
    frames = [np.roll(photo, 9 * i, 1) for i in range(3)]
    file = npp.encode_animation(frames, 20, durations=0.1, metadata=with_size(None, 150, 210))
    peak = torch.iinfo(dtype).max
    small = npp.decode(file, dtype=dtype).double() / peak
    exact = peak * torch.nn.functional.interpolate(small, (150, 210), mode="bicubic").clamp(0, 1)
    found = Recipe().decode(file, dtype=dtype)
    assert found.dtype == dtype and found.shape == (3, 3, 150, 210)
    off = found.double() - exact
    assert off.abs().max() < (0.55 if dtype == torch.uint8 else 1)  # of 16 bits float32 knows a part
    assert abs(off.mean()) < 0.01


def test_an_animation_of_one_frame_stays_one_where_it_is_enlarged(photo: np.ndarray) -> None:
    file = npp.encode_animation([photo], 20, durations=0.1, metadata=with_size(None, 150, 210))
    small, large = npp.decode(file), Recipe().decode(file)
    assert small.shape == (1, 3, *photo.shape[:2]) and large.shape == (1, 3, 150, 210)


@pytest.mark.parametrize(
    ("dtype", "off"),
    [(torch.float16, 5e-4), (torch.bfloat16, 4e-3), (torch.float32, 2e-5), (torch.float64, 1e-12)],
)
def test_what_is_enlarged_is_as_fine_as_its_dtype(photo: np.ndarray, dtype: torch.dtype, off: float) -> None:
    file = npp.encode(photo, 20, metadata=with_size(None, 150, 210))
    small = npp.decode(file, dtype=torch.float64)
    exact = torch.nn.functional.interpolate(small[None], (150, 210), mode="bicubic").clamp(0, 1)[0]
    found = Recipe().decode(file, dtype=dtype)
    assert found.dtype == dtype
    tolerance = off + (small - npp.decode(file, dtype=dtype).double()).abs().max() * 2
    assert (found.double() - exact).abs().max() <= tolerance


def test_a_changed_recipe_has_the_other_parts_of_the_first(recipe: Recipe, x: torch.Tensor) -> None:
    other = recipe.changed(scale=None, qp=30)
    assert (other.scale, other.qp, other.training) == (None, 30, recipe.training)
    for part in ("name", "preprocessor", "allocator", "restorer", "options", "card"):
        assert getattr(other, part) is getattr(recipe, part) or getattr(other, part) == getattr(recipe, part)
    assert recipe.scale is not None
    assert torch.equal(other.compress(x, 40).x_hat, recipe.compress(x, 40, parts=Parts(scale=False)).x_hat)
    with pytest.raises(
        TypeError, match=r"^a recipe has no argument 'nmae'; allowed are name, .*; did you mean 'name'"
    ):
        recipe.changed(nmae="other")


def test_saved_and_loaded_it_is_the_same(recipe: Recipe, x: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    recipe.save(path)
    loaded = Recipe.load(path)
    assert (loaded.name, loaded.qp, loaded.options, loaded.card, loaded.scale) == (
        recipe.name,
        recipe.qp,
        recipe.options,
        recipe.card,
        recipe.scale,
    )
    assert loaded.encode(x) == recipe.encode(x)
    assert not loaded.training


def test_an_empty_recipe_is_plain_bpg(x: torch.Tensor, tmp_path: Path) -> None:
    Recipe("plain").save(tmp_path / "plain.safetensors")
    loaded = Recipe.load(tmp_path / "plain.safetensors")
    assert loaded.encode(x, 40, effort=0) == npp.encode(x, 40, effort=0)


def test_wrong_files_are_named(preprocessor: npp.Preprocessor, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        Recipe.load(tmp_path / "absent.safetensors")
    preprocessor.save(tmp_path / "filter.safetensors")
    with pytest.raises(ValueError, match=r"holds no npp recipe, it is a filter alone$"):
        Recipe.load(tmp_path / "filter.safetensors")
    with pytest.raises(FileNotFoundError, match=r"is a folder, and has no recipe\.safetensors$"):
        Recipe.load(tmp_path)
    own = tmp_path / "recipe.safetensors"
    Recipe("own").save(own)
    with pytest.raises(ValueError, match=rf"it is a filter alone; the recipe beside it is {own}$"):
        Recipe.load(tmp_path / "filter.safetensors")
    with pytest.raises(FileNotFoundError, match=rf"^{tmp_path} is a folder; its recipe is {own}$"):
        Recipe.load(f"{tmp_path}/")
    with pytest.raises(ValueError, match=r"holds no npp preprocessor, it is a recipe alone$"):
        npp.Preprocessor.load(own)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"scale": 0.5},
            r"scale must be an npp\.recipes\.ScaleRule, such as ScaleRule\(\{0: 0\.5\}\), or None, not 0\.5",
        ),
        ({"preprocessor": torch.nn.Identity()}, "preprocessor must be an npp.Preprocessor, or None"),
        ({"allocator": torch.nn.Identity()}, "allocator must be an npp.Allocator, or None"),
        (
            {"effort": 5, "tune": "machine"},
            r"no argument 'effort': .* goes into options=\{'effort': 5, 'tune': 'machine'\}; allowed",
        ),
        ({"efort": 5}, "no argument 'efort'; allowed are name, "),
        ({"alocator": None}, r"no argument 'alocator'; .*did you mean 'allocator'"),
        ({"options": {"efort": 1}}, "efort"),
        ({"qp": 52}, "qp"),
    ],
)
def test_wrong_parts_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Recipe("wrong", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("parts", [Parts(), Parts(scale=False, qp_map=False)], ids=str)
@pytest.mark.parametrize(("value", "words"), [(float("nan"), "holds NaN"), (200.0, "holds values from")])
def test_a_wrong_picture_of_a_batch_is_named_whatever_its_qp(
    recipe: Recipe, x: torch.Tensor, parts: Parts, value: float, words: str
) -> None:
    batch = x[:1].repeat(3, 1, 1, 1)
    batch[1, 0, 0, 0] = value
    with pytest.raises(npp.EncodeError, match=rf"x\[1\] {words}") as caught:
        recipe.compress(batch, [40, 20, 30], parts=parts)
    assert caught.value.index == 1


def test_errors_of_the_codec_are_those_of_the_whole_batch(
    recipe: Recipe, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of one qp are coded in a call of their own, whose numbers are not the batch's."""

    def failing(pictures: torch.Tensor, qp: int, **given: Any) -> npp.Compressed:
        if qp != 20:
            return npp.compress(pictures, qp, **given)
        files: list[Any] = [npp.encode(pictures[0], qp), npp.EncodeError("x[1]: no memory")]
        error = npp.EncodeError("x[1]: no memory")
        error.index, error.results = 1, files
        raise error

    monkeypatch.setattr(coded_batches, "compress", failing)
    with pytest.raises(npp.EncodeError, match=r"^x\[3\]: no memory$") as caught:
        recipe.compress(x[:1].repeat(4, 1, 1, 1), [40, 20, 30, 20])
    assert caught.value.index == 3
    assert caught.value.results is not None
    assert [type(one) for one in caught.value.results] == [bytes, bytes, bytes, npp.EncodeError]


@pytest.mark.parametrize("task", [37, [], [None]], ids=str)
def test_what_is_no_task_is_named(recipe: Recipe, x: torch.Tensor, task: object) -> None:
    with pytest.raises(TypeError, match="task must be a callable or several, not"):
        recipe.refine(x, 40, task, steps=0)  # type: ignore[arg-type]


def test_refining_begins_with_the_recipe_s_own_map_and_size(recipe: Recipe, x: torch.Tensor) -> None:
    def task(pictures: torch.Tensor) -> torch.Tensor:
        assert pictures.shape[-2:] == x.shape[-2:]
        return (pictures - x).square().mean((1, 2, 3))

    plain = recipe.compress(x)
    unmoved = recipe.refine(x, None, task, steps=0)
    assert torch.equal(unmoved.x_hat, plain.x_hat)
    assert unmoved.qp_map is not None and recipe.allocator is not None
    ready = recipe.prepare(x, 38)
    assert ready.qp_map is not None and torch.equal(torch.stack(list(unmoved.qp_map)), ready.qp_map)  # type: ignore[arg-type]
    # The file says the size besides what compress wrote.
    for file, less in zip(unmoved.bitstreams, plain.bitstreams, strict=True):
        assert len(less) < len(file) < len(less) + 32
        assert recipe.decode(file).shape == x.shape[1:]
    bits = torch.tensor([8.0 * len(file) / (80 * 112) for file in unmoved.bitstreams])
    assert torch.allclose(unmoved.bpp, bits)


def test_refining_pays_bits_of_the_picture_s_own_pixels(recipe: Recipe, x: torch.Tensor) -> None:
    """Through the recipe, half as large, the same objective as by hand with four times the weight."""

    def task(pictures: torch.Tensor) -> torch.Tensor:
        return (pictures - x).square().mean((1, 2, 3))

    found = recipe.refine(x, 38, task, steps=3, weight=20.0)
    ready = recipe.prepare(x, 38)
    by_hand = npp.refine(
        ready.x,
        38,
        lambda pictures: task(enlarge(pictures, (80, 112))),
        over="map",
        steps=3,
        weight=80.0,
        qp_map=ready.qp_map,
        effort=1,
        tune="machine",
    )
    assert [step.objective.tolist() for step in found.history] == [
        step.objective.tolist() for step in by_hand.history
    ]
    assert torch.equal(found.x_hat, enlarge(by_hand.x_hat, (80, 112)))
    first, best = found.history[0].objective, torch.stack([step.objective for step in found.history]).amin(0)
    assert bool((best < first).any())


@pytest.mark.parametrize(("smaller", "exif", "written"), [(False, b"", 0), (False, EXIF, 1), (True, EXIF, 1)])
def test_refined_files_are_written_anew_at_most_once(
    smaller: bool,
    exif: bytes,
    written: int,
    allocator: Allocator,
    recipe: Recipe,
    x: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return npp.encode(*arguments, **options)

    monkeypatch.setattr("npp.recipes.refined_files.encode", counted)
    made = recipe if smaller else Recipe(allocator=allocator, options={"effort": 1})
    metadata = Metadata(exif=exif or None)
    found = made.refine(x, 37, lambda pictures: pictures.mean((1, 2, 3)), steps=0, metadata=metadata)
    assert len(calls) == written
    for file, picture in zip(found.bitstreams, found.x_hat, strict=True):
        assert npp.probe(file).metadata.exif == (exif or None)
        assert made.decode(file).shape == picture.shape


def test_refining_at_its_own_size_is_refine(allocator: Allocator, x: torch.Tensor) -> None:
    made = Recipe(allocator=allocator, options={"effort": 1})
    tasks = [lambda pictures: pictures.mean((1, 2, 3)), lambda pictures: pictures.square().mean((1, 2, 3))]
    found = made.refine(x, 37, tasks, over="both", steps=2)
    by_hand = npp.refine(x, 37, tasks, over="both", steps=2, qp_map=allocator(x, 37), effort=1)
    assert found.bitstreams == by_hand.bitstreams


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_pictures_of_every_precision_are_scaled(recipe: Recipe, x: torch.Tensor, dtype: torch.dtype) -> None:
    """PyTorch's filters know no half precision on CPUs."""
    found = recipe.compress(x.to(dtype), 38)
    assert found.x_hat.dtype == dtype and found.x_hat.shape == x.shape
    assert (found.x_hat.float() - recipe.compress(x, 38).x_hat).abs().mean() < 0.02


def test_options_of_a_call_come_before_those_of_the_recipe() -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    called = Recipe(options={"effort": 6}).compress(x, 37, effort=0).bitstreams
    assert called == npp.compress(x, 37, effort=0).bitstreams
    assert called != npp.compress(x, 37, effort=6).bitstreams


def test_the_name_of_a_shipped_recipe_alone_is_refused() -> None:
    wanted = r"'detection' alone has no parts .*npp\.Recipe\.load\('detection'\)"
    with pytest.raises(ValueError, match=wanted):
        Recipe("detection")
    bare = Recipe.load("detection").changed(scale=None, allocator=None, options={})
    assert bare.name == "detection", "whoever takes its parts away means it"
    assert Recipe("mine").name == "mine"


def test_a_recipe_is_told_in_a_line() -> None:
    told = repr(Recipe.load("classification"))
    assert told.startswith("Recipe('classification', qp=37, parts: filter, qp_map, restorer, options: {")
    assert "'effort': 5" in told
    assert "\n" not in told
    assert repr(Recipe()) == "Recipe('', qp=37, parts: none, options: none)"


def test_whole_numbers_are_told_what_makes_floats_of_them() -> None:
    x = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(TypeError, match=r"not torch\.uint8; x\.float\(\) / 255 makes it so"):
        Recipe("mine").compress(x)
    with pytest.raises(TypeError, match=r"not torch\.uint16; x\.float\(\) / 65535 makes it so"):
        npp.Preprocessor()(x.to(torch.uint16), 37)
