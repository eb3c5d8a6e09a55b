"""Coding as augmentation: a transform for datasets whose pictures go through the codec at a random qp.

:class:`BPG` takes what torchvision's transforms v2 take, and needs neither torchvision nor a gradient; the
one for albumentations is ``npp.integrations.albumentations_bpg.BPGCompression``. For a gradient through
the codec, within the network, there is :class:`npp.BPG`.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from typing_extensions import Unpack

import npp.codec
from npp.checks import MAX_QP, brief, is_int, number
from npp.codec.decoding import probe
from npp.codec.image_inputs import CodecImage
from npp.codec.limits import resolve_threads
from npp.codec.option_signature import shows_options
from npp.codec.options import CodecOptions, resolve_options, resolve_qp
from npp.codec.pil_pictures import has_own_color, to_pil
from npp.codec.round_trip import start_round_trip

if TYPE_CHECKING:
    from npp.recipes.lazy_recipe import LazyRecipe
    from npp.recipes.recipe import Recipe

__all__ = ["BPG"]

_LEAST_DIMENSIONS = 3  # of a tensor that is a picture


def qp_range(qp: Any) -> tuple[int, int]:
    """The lowest and the highest qp, from one integer or a pair.

    Raises:
        EncodeError: they are no integers from 0 to 51.
        ValueError: the first is above the second, or there are not two.
    """
    if is_int(qp):
        return (resolve_qp(qp, 1)[0],) * 2
    if isinstance(qp, (str, bytes)) or not hasattr(qp, "__len__") or len(qp) != 2:
        raise ValueError(f"qp must be an integer from 0 to {MAX_QP} or (least, greatest), not {brief(qp)}")
    low, high = resolve_qp(qp, 2)
    if low > high:
        raise ValueError(f"qp must be (least, greatest), not {brief(qp)}")
    return low, high


def code_pil(
    image: Image.Image, qp: int, recipe: LazyRecipe | None = None, **options: Unpack[CodecOptions]
) -> Image.Image:
    """A PIL picture as it comes out of its BPG file: L, LA, RGB or RGBA, I;16 for gray of 16 bits, or F.

    Gray of 16 bits with a transparent value becomes LA of 8 bits: Pillow has no mode for more with alpha.
    What the picture says of itself goes along, as with Pillow's own operations.
    """
    codec: Any = npp.codec if recipe is None else recipe.get()
    file = codec.encode(image, qp, threads=1, **options)
    deep = image.mode.startswith("I") and not probe(file).has_alpha
    dtype = torch.float32 if image.mode == "F" else torch.uint16 if deep else torch.uint8
    coded = to_pil(codec.decode(file, dtype=dtype), gray=CodecImage(image, "image").gray)
    coded.info = _kept_info(image)
    return coded


def _kept_info(image: Image.Image) -> dict[str | tuple[int, int], Any]:
    """What is still true of a picture once it is coded: its transparency is in the pixels then."""
    gone = {"transparency", "icc_profile"} if has_own_color(image.mode) else {"transparency"}
    return {name: value for name, value in image.info.items() if name not in gone}


def code_array(
    pixels: np.ndarray[Any, Any],
    qp: int,
    recipe: LazyRecipe | None = None,
    **options: Unpack[CodecOptions],
) -> np.ndarray[Any, Any]:
    """An array (H, W) or (H, W, C) as it comes out of its BPG file, of the same dtype."""
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)  # torch has no other order of bytes
    # A copy: of an axis of length 1 numpy calls any stride contiguous, and torch takes none below 0.
    planes = torch.from_numpy(np.array(native if pixels.ndim == 3 else native[..., None], order="C"))
    coded = code_tensor(planes.movedim(-1, 0), qp, 1, recipe, **options).movedim(0, -1)
    decoded: np.ndarray[Any, Any] = np.ascontiguousarray(coded.numpy()).reshape(pixels.shape)
    return decoded.astype(pixels.dtype, copy=False)


def bgr_to_rgb(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array (H, W, C) in OpenCV's order of channels in that of RGB, and the other way round, in memory.

    Of four channels the last is alpha either way. Gray pictures, (H, W) or (H, W, 1), stay as they are.
    """
    if pixels.ndim < 3 or pixels.shape[2] < 3:
        return pixels
    reordered: np.ndarray[Any, Any] = np.take(pixels, [2, 1, 0, *range(3, pixels.shape[2])], axis=2)
    return reordered


def code_tensor(
    x: Tensor,
    qp: int,
    threads: int | None = 1,
    recipe: LazyRecipe | None = None,
    **options: Unpack[CodecOptions],
) -> Tensor:
    """Pictures (..., C, H, W) as they come out of their BPG files, of the same dtype; no gradient."""
    plain = x.detach().as_subclass(Tensor)
    if plain.ndim < _LEAST_DIMENSIONS:
        raise ValueError(f"a picture must be a tensor (..., C, H, W), not of shape {tuple(plain.shape)}")
    if not plain.numel():
        raise ValueError(f"a picture must have pixels, and its shape (..., C, H, W) is {tuple(plain.shape)}")
    batch = plain.reshape(-1, *plain.shape[-3:])
    if recipe is not None:
        ready = recipe.get()
        files = ready.encode(batch, qp, threads=threads, **options)
        shown = ready.decode(files, dtype=plain.dtype, threads=threads)
        return torch.stack(shown).to(plain.device).reshape(plain.shape)
    trip = start_round_trip(batch, qp, options, threads, waits=True)
    return trip.result()[0].reshape(plain.shape)


def _tv_tensors() -> Any:
    """torchvision's kinds of tensors; ``None`` where nobody has imported them, so that there are none."""
    return sys.modules.get("torchvision.tv_tensors")


def _is_marked(value: object) -> bool:
    """Whether the type of a value says that it is a picture."""
    kinds = _tv_tensors()
    return isinstance(value, Image.Image) or (
        kinds is not None and isinstance(value, (kinds.Image, kinds.Video))
    )


def _is_other_kind(value: object) -> bool:
    """Whether torchvision says that this is no picture: a mask, boxes, key points."""
    kinds = _tv_tensors()
    return kinds is not None and isinstance(value, kinds.TVTensor) and not _is_marked(value)


def _leaves(sample: Any) -> Iterator[Any]:
    if isinstance(sample, Mapping):
        for value in sample.values():
            yield from _leaves(value)
    elif isinstance(sample, (list, tuple)):
        for value in sample:
            yield from _leaves(value)
    else:
        yield sample


def _mapped(sample: Any, change: Callable[[Any], Any]) -> Any:
    """A sample's structure with each leaf changed."""
    if isinstance(sample, MutableMapping):
        made: Any = copy.copy(sample)  # some are not made from a mapping alone, as defaultdict
        made.update({name: _mapped(value, change) for name, value in sample.items()})
        return made
    if isinstance(sample, Mapping):
        made = type(sample)
        return made({name: _mapped(value, change) for name, value in sample.items()})
    if isinstance(sample, (list, tuple)):
        values = [_mapped(value, change) for value in sample]
        if hasattr(sample, "_fields"):
            return type(sample)(*values)
        return type(sample)(values)
    return change(sample)


def lazy_recipe(recipe: str | os.PathLike[str] | Recipe, options: CodecOptions) -> LazyRecipe:
    """A recipe for transforms, after a check of the options that come before its own.

    Raises:
        FileNotFoundError, TypeError, ValueError: as :class:`BPG`.
    """
    # Recipes are not loaded for those who use none.
    from npp.recipes.lazy_recipe import LazyRecipe
    from npp.recipes.option_checks import lossy_options

    lossy_options(options)
    return LazyRecipe(recipe)


class BPG(nn.Module):
    """Pictures through the real codec at a qp that is drawn anew for each sample.

    As with torchvision's transforms v2, a sample is one picture or any nest of dicts, lists and tuples. Coded
    are PIL pictures and torchvision's ``Image`` and ``Video``; where there is none of these, the first plain
    tensor. A numpy array (H, W) or (H, W, C) is coded where it is the whole sample. All else, boxes and masks
    above all, is passed through, torchvision's kinds also where they are the whole sample: coding moves
    nothing. What is coded together has one qp.

    Tensors are (..., C, H, W) with C of 1, 3 or 4, uint8, uint16 or floats in [0, 1]; shape and dtype stay.
    PIL pictures keep what is still true of their ``info``, EXIF with its orientation too. The modes L, LA,
    RGB, RGBA, I;16 and F (0 to 1) stay. Others become these: 1 L; La LA; RGBa and PA RGBA; I and I;16B I;16;
    P, CMYK, YCbCr, LAB, HSV and RGBX RGB. A transparent colour becomes alpha: L and I;16 with one come as LA,
    P and RGB as RGBA. With ``p`` below 1 convert such pictures before: only what is coded changes.

    Put this in front of normalising. The draws are torch's: ``torch.manual_seed`` repeats them, and each
    worker of a DataLoader has its own.

    Args:
        qp: an int, or (least, greatest), each as likely.
        p: how often a sample is coded at all, 0 to 1.
        threads: codec threads for videos and batches; workers of a DataLoader want one each.
        recipe: an :class:`npp.Recipe`, a name or a path of one, whose files are made: a sample is then what
            :meth:`npp.Recipe.decode` shows a network of them, restored and of its own size. A named one is
            loaded in each worker. The recipe's own qp is not looked at.
        **options: see :class:`npp.CodecOptions`; ``effort=0`` is fastest. They come before the recipe's.

    Raises:
        ValueError: a value outside of these (:class:`npp.EncodeError` is one).
        FileNotFoundError: there is no such recipe.
        TypeError: recipe is neither an npp.Recipe nor a name or a path; when called: the sample has no
            picture.
    """

    @shows_options(defaults=False)
    def __init__(
        self,
        qp: int | Sequence[int] = (25, 46),
        *,
        p: float = 1.0,
        threads: int | None = 1,
        recipe: str | os.PathLike[str] | Recipe | None = None,
        **options: Unpack[CodecOptions],
    ) -> None:
        super().__init__()
        self.qp = qp_range(qp)
        self.p = number("p", p, 0, 1)
        resolve_threads(threads)
        self.threads = threads
        resolve_options(options)
        self.options = options
        self._recipe = None if recipe is None else lazy_recipe(recipe, options)

    def draw(self) -> int | None:
        """The qp of the next sample; ``None`` where it is left as it is."""
        low, high = self.qp
        coded = float(torch.rand((), dtype=torch.float64, device="cpu")) < self.p
        qp = int(torch.randint(low, high + 1, (), device="cpu"))
        return qp if coded else None

    def _coded(self, picture: Any, qp: int) -> Any:
        """One picture of the kinds that are coded."""
        if isinstance(picture, Image.Image):
            return code_pil(picture, qp, self._recipe, **self.options)
        if isinstance(picture, np.ndarray):
            return code_array(picture, qp, self._recipe, **self.options)
        coded = code_tensor(picture, qp, self.threads, self._recipe, **self.options)
        return _tv_tensors().wrap(coded, like=picture) if _is_marked(picture) else coded

    def forward(self, *sample: Any) -> Any:
        """The sample with its pictures coded, in the same structure; several arguments make a tuple."""
        whole = sample[0] if len(sample) == 1 else sample
        if _is_other_kind(whole):
            return whole
        leaves = [whole] if isinstance(whole, np.ndarray) else list(_leaves(whole))
        pictures = [leaf for leaf in leaves if _is_marked(leaf)]
        if not pictures:
            pictures = [leaf for leaf in leaves if type(leaf) is Tensor or leaf is whole][:1]
        if not pictures or not isinstance(pictures[0], (Image.Image, np.ndarray, Tensor)):
            kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
            raise TypeError(
                "a sample must have a PIL picture or a tensor (..., C, H, W), or be an array (H, W, C); "
                f"this one has {kinds}"
            )
        qp = self.draw()
        if qp is None:
            return whole
        picture_ids = {id(picture) for picture in pictures}
        return _mapped(whole, lambda leaf: self._coded(leaf, qp) if id(leaf) in picture_ids else leaf)

    def extra_repr(self) -> str:
        """The arguments."""
        recipe = {} if self._recipe is None else {"recipe": self._recipe}
        named = {"p": self.p, "threads": self.threads, **recipe, **self.options}
        return ", ".join([f"qp={self.qp}", *(f"{name}={value!r}" for name, value in named.items())])
