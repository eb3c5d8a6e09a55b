"""Coding as augmentation: what is coded, what passes through, and draws that can be repeated."""

from __future__ import annotations

import copy
import io
import pickle
from collections import defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from recipe_files import made_recipe, saved_recipe
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import npp
from npp.transforms import BPG, code_array


@pytest.fixture
def pixels(photo: np.ndarray) -> Tensor:
    """uint8 (3, 80, 112)."""
    return torch.from_numpy(photo).permute(2, 0, 1).contiguous()


def _coded(pixels: Tensor, qp: int) -> Tensor:
    return npp.decode(npp.encode(pixels, qp, effort=0))


def test_tensors_go_through_the_codec(pixels: Tensor) -> None:
    transform = BPG(qp=40, effort=0)
    assert torch.equal(transform(pixels), _coded(pixels, 40))
    floats = transform(pixels / 255)
    assert floats.dtype == torch.float32 and not floats.requires_grad
    assert torch.equal((floats * 255).round().byte(), _coded(pixels, 40))
    assert transform((pixels / 255).half()).dtype == torch.float16
    batch = torch.stack([pixels, pixels.flip(1)])
    assert torch.equal(transform(batch)[1], _coded(pixels.flip(1), 40))
    assert transform(batch[None]).shape == (1, 2, 3, 80, 112)
    assert transform(pixels[:1]).shape == (1, 80, 112)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK"])
def test_pil_pictures_stay_pil_pictures(photo: np.ndarray, mode: str) -> None:
    image = Image.fromarray(photo).convert(mode)
    found = BPG(qp=20, effort=0)(image)
    assert isinstance(found, Image.Image) and found.size == image.size
    assert found.mode == {"P": "RGB", "1": "L", "CMYK": "RGB"}.get(mode, mode)
    if mode == "RGB":
        wanted = _coded(torch.from_numpy(photo).permute(2, 0, 1), 20)
        assert torch.equal(torch.from_numpy(np.array(found)).permute(2, 0, 1), wanted)


@pytest.mark.parametrize(
    ("modes", "coded"),
    [
        (("L", "1"), "L"),
        (("LA", "La"), "LA"),
        (("RGB", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"), "RGB"),
        (("RGBA", "RGBa", "PA"), "RGBA"),
        (("I;16", "I;16B", "I"), "I;16"),
    ],
)
def test_modes_of_pil_pictures(modes: tuple[str, ...], coded: str, photo: np.ndarray) -> None:
    ways = {"LAB": "RGB", "La": "LA", "PA": "LA", "RGBa": "RGBA", "I;16": "I", "I;16B": "I"}
    for mode in modes:
        way = ways.get(mode, mode)
        start = Image.fromarray(photo) if way in ("RGB", "CMYK") else Image.fromarray(photo).convert("L")
        image = start.convert("RGB").convert("LAB") if mode == "LAB" else start.convert(way).convert(mode)
        assert image.mode == mode and BPG(qp=20, effort=0)(image).mode == coded


def test_pil_pictures_of_floats_stay_from_0_to_1(photo: np.ndarray) -> None:
    floats = photo[..., 1].astype(np.float32) / 255
    found = BPG(qp=40, effort=0)(Image.fromarray(floats))
    assert found.mode == "F"
    assert (np.asarray(found) == code_array(floats, 40, effort=0)).all()


def test_pil_pictures_keep_what_they_say_of_themselves(photo: np.ndarray) -> None:
    """A picture that lies on its side does so whether or not it was coded."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x112] = 6
    Image.fromarray(photo).save(file, "JPEG", exif=exif, icc_profile=b"profile", dpi=(72, 72))
    image = Image.open(file)
    transform = BPG(qp=30, p=0.5, effort=0)
    found = [transform(image) for _ in range(12)]
    assert 0 < sum(one is image for one in found) < 12
    assert {ImageOps.exif_transpose(one).size for one in found} == {(80, 112)}
    coded = BPG(qp=30, effort=0)(image)
    assert coded.info == image.info and coded.info is not image.info


@pytest.mark.parametrize("mode", ["CMYK", "P"])
def test_pil_pictures_lose_what_is_no_longer_true_of_them(mode: str, photo: np.ndarray) -> None:
    """The profile of a CMYK picture is not that of an RGB one; a transparent colour has become alpha."""
    image = Image.fromarray(photo).convert(mode)
    image.info = {"icc_profile": b"profile", "comment": b"words"}
    if mode == "P":
        image.info["transparency"] = 3
    coded = BPG(qp=30, effort=0)(image)
    gone = {"CMYK": "icc_profile", "P": "transparency"}[mode]
    assert coded.mode == {"CMYK": "RGB", "P": "RGBA"}[mode]
    assert coded.info == {name: value for name, value in image.info.items() if name != gone}


def test_samples_that_are_no_plain_dict_and_tensors_that_are_no_plain_tensor(pixels: Tensor) -> None:
    transform = BPG(qp=40, effort=0)
    sample = defaultdict(list, image=pixels, label=3)
    found = transform(sample)
    assert type(found) is defaultdict
    assert found["new"] == []
    assert found["label"] == 3
    assert torch.equal(found["image"], _coded(pixels, 40))
    assert sample["image"] is pixels
    learned = torch.nn.Parameter(pixels / 255)
    assert torch.equal((transform(learned) * 255).round().byte(), _coded(pixels, 40))


def test_arrays_of_another_order_of_bytes_keep_it(deep_photo: np.ndarray) -> None:
    transform = BPG(qp=40, effort=0, bit_depth=10)
    swapped = deep_photo.astype(deep_photo.dtype.newbyteorder())
    found = transform(swapped)
    assert found.dtype == swapped.dtype
    assert (found == transform(deep_photo)).all()


def test_arrays(photo: np.ndarray) -> None:
    transform = BPG(qp=40, effort=0)
    wanted = _coded(torch.from_numpy(photo).permute(2, 0, 1), 40).permute(1, 2, 0).numpy()
    assert (transform(photo) == wanted).all()
    assert transform(photo[..., 0]).shape == (80, 112)
    floats = transform(photo.astype(np.float32) / 255)
    assert floats.dtype == np.float32 and (np.rint(floats * 255) == wanted).all()
    assert (code_array(photo[:, ::-1], 40, effort=0) != photo[:, ::-1]).any()


def test_what_is_no_picture_passes_through(photo: np.ndarray, pixels: Tensor) -> None:
    transform = BPG(qp=45, effort=0)
    truth = {"boxes": torch.rand(3, 4), "masks": torch.ones(3, 80, 112, dtype=torch.uint8), "id": 7}
    image, target = transform(pixels, truth)
    assert torch.equal(image, _coded(pixels, 45))
    assert target["boxes"] is truth["boxes"] and target["masks"] is truth["masks"] and target["id"] == 7
    # Beside a PIL picture no plain tensor is one, wherever it stands.
    found = transform({"mask": pixels, "image": Image.fromarray(photo), "name": "a", "array": photo})
    assert found["mask"] is pixels and found["array"] is photo and found["name"] == "a"
    assert isinstance(found["image"], Image.Image) and (np.array(found["image"]) != photo).any()
    pair = namedtuple("pair", "x y")
    assert torch.equal(transform(pair(pixels, 3)).x, _coded(pixels, 45))
    assert isinstance(transform([pixels, 3]), list)


def test_qps_are_drawn_anew_and_can_be_repeated(pixels: Tensor) -> None:
    transform = BPG(qp=(25, 46), effort=0)

    def found() -> list[int]:
        return [int(transform(pixels).sum()) for _ in range(5)]

    torch.manual_seed(1)
    first = found()
    assert len(set(first)) > 2
    torch.manual_seed(1)
    assert found() == first and found() != first
    draws = [BPG(qp=(30, 33)).draw() for _ in range(200)]
    assert set(draws) == {30, 31, 32, 33}
    sometimes = [BPG(p=0.25).draw() for _ in range(400)]
    assert 60 < sum(qp is not None for qp in sometimes) < 140
    assert BPG(p=0.0)(pixels) is pixels


class Pictures(Dataset[Tensor]):
    """The same picture over and over, each time transformed."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels
        self.transform = BPG(qp=(25, 46), effort=0)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        coded: Tensor = self.transform(self.pixels)
        return coded


def test_workers_draw_their_own_and_the_same_again(pixels: Tensor) -> None:
    def found() -> Tensor:
        torch.manual_seed(5)
        return torch.cat(list(DataLoader(Pictures(pixels), batch_size=2, num_workers=2)))

    first = found()
    assert torch.equal(found(), first)
    sums = first.flatten(1).sum(1).tolist()
    assert len(set(sums)) > 4 and set(sums[:2]) != set(sums[2:4])


def test_it_is_copied_and_pickled(pixels: Tensor) -> None:
    transform = BPG(qp=(30, 30), chroma="444", effort=0)
    for again in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert torch.equal(again(pixels), transform(pixels))
    assert repr(transform) == "BPG(qp=(30, 30), p=1.0, threads=1, chroma='444', effort=0)"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"qp": 52}, "qp must be an integer from 0 to 51, not 52"),
        ({"qp": (25, 60)}, "0 to 51, not 60"),
        ({"qp": (46, 25)}, r"qp must be \(least, greatest\), not \(46, 25\)"),
        ({"qp": (1, 2, 3)}, r"qp must be an integer from 0 to 51 or \(least, greatest\)"),
        ({"qp": "25"}, "qp must be an integer"),
        ({"p": 1.5}, "p must be a number from 0 to 1, not 1.5"),
        ({"chroma": "411"}, "chroma must be one of"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BPG(**settings)


def test_samples_without_a_picture_are_named(pixels: Tensor) -> None:
    with pytest.raises(TypeError, match="this one has int, str"):
        BPG()({"a": 1, "b": ["c"]})
    for nothing in ((), ([],), ({},)):
        with pytest.raises(TypeError, match=r"a sample must have a PIL picture .* this one has nothing"):
            BPG()(*nothing)
    with pytest.raises(ValueError, match=r"\(\.\.\., C, H, W\), not of shape \(80, 112\)"):
        BPG()(pixels[0])


def test_torchvisions_kinds(pixels: Tensor) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2", reason="torchvision is not installed")
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    image = tv_tensors.Image(pixels)
    truth = tv_tensors.BoundingBoxes(torch.tensor([[1, 2, 30, 40]]), format="XYXY", canvas_size=(80, 112))
    mask = tv_tensors.Mask(torch.ones(1, 80, 112, dtype=torch.uint8))
    pipeline = v2.Compose(
        [BPG(qp=40, effort=0), v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True)]
    )
    found, target = pipeline(image, {"boxes": truth, "mask": mask, "plain": pixels})
    assert isinstance(found, tv_tensors.Image) and found.dtype == torch.float32
    assert torch.equal((found * 255).round().byte().as_subclass(Tensor), _coded(pixels, 40).flip(-1))
    assert target["boxes"].tolist() == [[82, 2, 111, 40]] and target["plain"] is pixels
    assert torch.equal(target["mask"], mask)
    video = tv_tensors.Video(torch.stack([pixels, pixels.flip(2)]))
    coded = BPG(qp=40, effort=0)(video)
    assert isinstance(coded, tv_tensors.Video) and torch.equal(
        coded[0].as_subclass(Tensor), _coded(pixels, 40)
    )
    assert isinstance(v2.RandomApply([BPG(qp=30, effort=0)], p=1.0)(image), tv_tensors.Image)


def test_arrays_that_run_backwards(photo: np.ndarray) -> None:
    """Also along an axis of length 1, which numpy calls contiguous either way."""
    for pixels in (photo, photo[..., :1]):
        backwards = pixels[..., ::-1]
        wanted = code_array(np.ascontiguousarray(backwards).copy(), 30, effort=0)
        assert (code_array(backwards, 30, effort=0) == wanted).all()


@pytest.mark.parametrize(
    "empty", [torch.zeros(3, 0, 8), torch.zeros(0, 3, 8, 8), np.zeros((0, 8, 3), np.uint8)]
)
def test_a_picture_without_pixels_is_named(empty: Any) -> None:
    with pytest.raises(ValueError, match=r"a picture must have pixels, and its shape \(\.\.\., C, H, W\) is"):
        BPG(30, effort=0)(empty)


def test_gray_of_16_bits_with_a_transparent_value(deep_photo: np.ndarray) -> None:
    image = Image.fromarray(np.ascontiguousarray(deep_photo[..., 0]))
    assert image.mode == "I;16" and BPG(30, effort=0)(image).mode == "I;16"
    image.info["transparency"] = int(deep_photo[0, 0, 0])
    coded = BPG(30, effort=0)(image)
    assert coded.mode == "LA" and coded.size == image.size
    assert np.asarray(coded)[0, 0, 1] < 128 < np.asarray(coded)[..., 1].mean()


@pytest.mark.parametrize("name", ["Mask", "BoundingBoxes"])
def test_a_mask_or_boxes_alone_stay_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = pytest.importorskip("torchvision.tv_tensors", reason="torchvision is not installed")
    more = {"format": "XYXY", "canvas_size": (8, 8)} if name == "BoundingBoxes" else {}
    given = getattr(kinds, name)(torch.randint(0, 9, (3, 8, 4) if name == "Mask" else (8, 4)), **more)
    assert BPG(30, effort=0)(given) is given


@pytest.fixture(scope="module")
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved_recipe(tmp_path_factory.mktemp("recipe"))


def test_a_recipe_that_is_to_keep_every_pixel_is_refused_at_once(recipe_path: str) -> None:
    with pytest.raises(npp.EncodeError, match="lossless must be False with a recipe"):
        BPG(40, recipe=recipe_path, lossless=True)


@pytest.mark.parametrize("named", [True, False])
def test_samples_are_what_a_recipe_shows_of_its_files(
    pixels: Tensor, photo: np.ndarray, recipe_path: str, named: bool
) -> None:
    recipe = made_recipe()
    transform = BPG(qp=40, recipe=recipe_path if named else recipe, effort=0)
    file = recipe.encode(pixels, 40, effort=0)
    wanted = recipe.decode(file)
    assert npp.probe(file).width == 56 and not torch.equal(wanted, _coded(pixels, 40))
    assert torch.equal(transform(pixels), wanted)
    assert torch.equal(transform(torch.stack([pixels.flip(1), pixels]))[1], wanted)
    assert np.array_equal(transform(photo), wanted.permute(1, 2, 0).numpy())
    assert np.array_equal(np.asarray(transform(Image.fromarray(photo))), wanted.permute(1, 2, 0).numpy())
    for dtype in (torch.float32, torch.float16):
        floats = (pixels / 255).to(dtype)
        shown = recipe.decode(recipe.encode(floats, 40, effort=0), dtype=dtype)
        assert torch.equal(transform(floats), shown)
    assert transform(pixels[:1]).shape == (1, 80, 112)
    assert "recipe=" in repr(transform) and not list(transform.parameters())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16", "F"])
def test_pil_pictures_keep_their_mode_through_a_recipe(photo: np.ndarray, mode: str) -> None:
    way = {"I;16": "I"}.get(mode, mode)
    image = Image.fromarray(photo[..., 1].astype(np.float32) / 255)
    if mode != "F":
        image = Image.fromarray(photo).convert("L").convert(way).convert(mode)
    found = BPG(qp=40, recipe=made_recipe())(image)
    assert (found.mode, found.size) == (mode, image.size)


def test_a_recipes_own_options_count_where_none_are_given(pixels: Tensor) -> None:
    recipe = made_recipe()
    assert torch.equal(BPG(qp=38, recipe=recipe)(pixels), recipe.decode(recipe.encode(pixels, 38)))


@pytest.mark.parametrize("named", [True, False])
def test_workers_take_a_recipe_along(pixels: Tensor, recipe_path: str, named: bool) -> None:
    transform = BPG(qp=40, recipe=recipe_path if named else made_recipe())
    wanted = transform(pixels)
    packed = pickle.dumps(transform)
    assert torch.equal(pickle.loads(packed)(pixels), wanted)
    assert not named or len(packed) < 10_000, "a named recipe is loaded where it is used"
    assert torch.equal(copy.deepcopy(transform)(pixels), wanted)


def test_what_is_no_recipe_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"^recipe: no file 'clasification', .*did you mean"):
        BPG(recipe="clasification")
    with pytest.raises(TypeError, match=r"^recipe must be an npp\.Recipe, a name or a path of one, not 3"):
        BPG(recipe=3)  # type: ignore[arg-type]
