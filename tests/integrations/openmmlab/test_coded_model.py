"""The wrapper model by itself: what the inner model gets, what is trained, what is kept."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from small_openmmlab import BASES, FCOS, RESNET, boxed, labelled, lively, raw_pictures

import npp
from npp.config.yaml_files import ConfigError
from npp.gradient.pairing import compress
from npp.integrations.openmmlab import CodedModel
from npp.preprocessing.unet import LAMBDAS
from npp.tasks.openmmlab_models import load_weights, read_model_config

LOSSLESS: dict[str, Any] = {"lossless": True, "surrogate": "identity"}


@pytest.fixture(scope="module")
def fcos() -> CodedModel:
    """An untrained FCOS behind an untrained filter."""
    torch.manual_seed(0)
    return CodedModel(
        FCOS, "none", preprocessor={"network": "gains"}, codec={"tune": "machine"}, test_effort=1
    )


def _batch(photo: np.ndarray, name: str) -> dict[str, Any]:
    pictures = raw_pictures(photo)
    if name.startswith("mmpretrain::"):  # its default loader makes one tensor
        stacked = torch.stack([picture[:, :64, :80] for picture in pictures])
        return {"inputs": stacked, "data_samples": labelled(pictures)}
    return {"inputs": pictures, "data_samples": boxed(pictures)}


def _said(sample: Any) -> list[torch.Tensor]:
    if hasattr(sample, "pred_instances"):
        return [sample.pred_instances.bboxes, sample.pred_instances.scores, sample.pred_instances.labels]
    return [sample.pred_score]


@pytest.mark.parametrize("name", BASES.values(), ids=BASES)
def test_behind_a_lossless_codec_the_inner_model_gets_what_it_would_have_got(
    photo: np.ndarray, name: str
) -> None:
    if "faster" in name:
        pytest.importorskip("torchvision", reason="its RoIs are cut by torchvision here")
    package, inner = lively(name)
    with DefaultScope.overwrite_default_scope(package):
        model = CodedModel(inner, "none", codec=LOSSLESS)
    data = _batch(photo, name)
    plain = model.inner.test_step(copy.deepcopy(data))
    coded = model.test_step(copy.deepcopy(data))
    assert sum(len(one) for sample in plain for one in _said(sample)) > 0
    for before, after in zip(plain, coded, strict=True):
        for first, second in zip(_said(before), _said(after), strict=True):
            assert torch.equal(first, second)
    seen: list[torch.Tensor] = []
    handle = model.inner.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for part in (model.inner, model):
        part.val_step(copy.deepcopy(data))
    for part in (model.inner, model):  # ResNeSt's preprocessor mixes pictures in training, by these draws
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        part(**part.data_preprocessor(copy.deepcopy(data), True), mode="loss")
    handle.remove()
    assert len(seen) == 4
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])


def test_losses_are_those_of_the_inner_model_in_training_with_its_layers_in_eval_mode(
    photo: np.ndarray,
) -> None:
    """FCOS scales its boxes by ``self.training``; stock training too has batch norm in eval mode."""
    model = CodedModel(FCOS, "none", codec=LOSSLESS)
    data = _batch(photo, FCOS)
    model.inner.train()  # stock: ResNet's norm_eval leaves batch norm in eval mode
    inner_data = model.inner.data_preprocessor(copy.deepcopy(data), True)
    wanted = model.inner(**inner_data, mode="loss")
    model.train()
    found = model(**model.data_preprocessor(copy.deepcopy(data), True), mode="loss")
    for name in ("cls", "bbox", "centerness"):
        assert torch.equal(wanted[f"loss_{name}"], found[f"task_{name}"])
        weight = LAMBDAS[int(found["qp"])]
        assert torch.equal(found[f"loss_{name}"], found[f"task_{name}"] * weight)


def test_what_mmengine_adds_up_is_the_published_total(fcos: CodedModel, photo: np.ndarray) -> None:
    data = fcos.data_preprocessor(_batch(photo, FCOS), True)
    found = fcos(**data, mode="loss")
    total, logged = fcos.parse_losses(found)
    weight = LAMBDAS[int(found["qp"])]
    task = sum(found[f"task_{name}"] for name in ("cls", "bbox", "centerness"))
    torch.testing.assert_close(total, found["bpp"] + weight * task + found["loss_fidelity"])
    assert {"bpp", "qp", "task_cls", "loss_bpp", "loss_fidelity", "loss_cls"} <= set(logged)


def test_bits_and_losses_are_divided_by_the_norm_once(fcos: CodedModel, photo: np.ndarray) -> None:
    data = fcos.data_preprocessor(_batch(photo, FCOS), True)
    norm = fcos.weights.norm.clone()
    fcos.weights.norm /= 4
    try:
        found = fcos(**data, mode="loss")
    finally:
        fcos.weights.norm.copy_(norm)
    weight = LAMBDAS[int(found["qp"])]
    torch.testing.assert_close(found["loss_bpp"], 4 * found["bpp"])
    for name in ("cls", "bbox", "centerness"):
        torch.testing.assert_close(found[f"loss_{name}"], 4 * weight * found[f"task_{name}"])


def test_the_only_loss_of_a_classifier_is_not_taken_for_the_total(photo: np.ndarray) -> None:
    model = CodedModel(RESNET, "none")
    found = model(**model.data_preprocessor(_batch(photo, RESNET), True), mode="loss")
    assert {"loss_task", "task"} <= set(found)
    assert "loss" not in found
    total, logged = model.parse_losses(found)
    assert logged["loss"] == total
    assert total > found["loss_task"]


def test_gradients_reach_the_recipe_and_nothing_else(fcos: CodedModel, photo: np.ndarray) -> None:
    before = {name: value.clone() for name, value in fcos.inner.state_dict().items()}
    fcos.train()
    fcos.zero_grad()
    total, _ = fcos.parse_losses(fcos(**fcos.data_preprocessor(_batch(photo, FCOS), True), mode="loss"))
    total.backward()
    assert all(parameter.grad is None for parameter in fcos.inner.parameters())
    gradients = [parameter.grad for parameter in fcos.recipe.parameters()]
    assert any(gradient is not None and bool(gradient.any()) for gradient in gradients)
    assert not any(part.training for part in fcos.inner.modules())
    assert fcos.recipe.training
    after = fcos.inner.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_checkpoint_has_the_recipe_alone_and_comes_back(fcos: CodedModel) -> None:
    state = fcos.state_dict()
    assert all(name.split(".")[0] in ("recipe", "weights", "step") for name in state)
    assert {f"recipe.{name}" for name in fcos.recipe.state_dict()} <= set(state)
    other = copy.deepcopy(fcos)
    with torch.no_grad():
        for parameter in other.recipe.parameters():
            parameter.add_(1)
    other.load_state_dict(state)
    for name, value in fcos.recipe.state_dict().items():
        assert torch.equal(value, other.recipe.state_dict()[name])


def test_weights_that_are_there_are_not_initialised_anew(fcos: CodedModel) -> None:
    """The runner calls init_weights before training, and never before testing."""
    before = {name: value.clone() for name, value in (*fcos.inner.state_dict().items(),)}
    fcos.init_weights()
    after = fcos.inner.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_every_sample_says_its_rate(fcos: CodedModel, photo: np.ndarray) -> None:
    fcos.eval()
    pictures = raw_pictures(photo)
    found = fcos.test_step({"inputs": pictures, "data_samples": boxed(pictures)})
    for picture, sample in zip(pictures, found, strict=True):
        x = picture.flip(0)[None].float() / 255
        with torch.no_grad():
            file = fcos.recipe.compress(x, 37).bitstreams[0]
        assert sample.bpg_bytes == len(file)
        assert sample.bpg_qp == 37
        assert sample.bpp == pytest.approx(8 * len(file) / (x.shape[-2] * x.shape[-1]))


def test_training_is_quick_and_testing_is_thorough(fcos: CodedModel) -> None:
    assert fcos._training_options == {"effort": 0, "tune": "machine"}
    assert fcos.recipe.options == {"effort": 1, "tune": "machine"}
    assert CodedModel(RESNET, "none").recipe.options["effort"] == 8


def test_the_runners_data_preprocessor_is_for_the_inner_model() -> None:
    """MMPretrain keeps normalisation beside the model, and its runner hands it to the outermost model."""
    config = read_model_config(RESNET)
    normalise = ConfigDict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
    del config.model["data_preprocessor"]
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = CodedModel(config.model, "none", data_preprocessor=normalise)
        assert model.inner.data_preprocessor.mean.flatten().tolist() == [1, 2, 3]
        assert type(model.data_preprocessor).__name__ == "BaseDataPreprocessor"
        config.model.data_preprocessor = ConfigDict(mean=[7.0] * 3, std=[1.0] * 3)
        own = CodedModel(config.model, "none", data_preprocessor=normalise)
        assert own.inner.data_preprocessor.mean.flatten().tolist() == [7, 7, 7]


def test_qps_are_drawn_from_the_step_and_all_of_them_come(photo: np.ndarray) -> None:
    model = CodedModel(RESNET, "none", codec={"surrogate": "identity"})
    pictures = [torch.from_numpy(photo[:32, :32]).permute(2, 0, 1)]
    data = {"inputs": pictures, "data_samples": labelled(pictures)}

    def drawn_at(step: int) -> int:
        model.step.fill_(step)
        return int(model(**model.data_preprocessor(copy.deepcopy(data), True), mode="loss")["qp"])

    drawn = [drawn_at(step) for step in range(60)]
    assert drawn_at(7) == drawn[7]
    assert set(drawn) == set(LAMBDAS)


def test_a_recipe_scales_filters_and_maps(photo: np.ndarray) -> None:
    pictures = raw_pictures(photo)
    data = {"inputs": pictures, "data_samples": labelled(pictures)}
    model = CodedModel(
        RESNET, "none", allocator={"start": "general"}, scale=0.5, codec={"surrogate": "gated"}
    )
    found = model(**model.data_preprocessor(data, True), mode="loss")
    assert found["loss_map"] > 0
    model.parse_losses(found)[0].backward()
    assert all(
        parameter.grad is not None for parameter in model.recipe.parameters() if parameter.requires_grad
    )
    small = model.eval().test_step(copy.deepcopy(data))
    plain = CodedModel(RESNET, "none", codec={"surrogate": "gated"}).eval()
    large = plain.test_step(copy.deepcopy(data))
    assert all(one.bpp < other.bpp for one, other in zip(small, large, strict=True))
    for sample, picture in zip(small, pictures, strict=True):
        assert sample.bpp == pytest.approx(8 * sample.bpg_bytes / (picture.shape[1] * picture.shape[2]))


def test_a_shipped_recipe_is_taken_with_its_options(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    efforts = []

    def noted(*arguments: Any, **named: Any) -> Any:
        efforts.append(named["effort"])
        return compress(*arguments, **named)

    name = npp.Recipe.available()[0]
    model = CodedModel(RESNET, "none", recipe=name)
    assert model.recipe.options == npp.Recipe.load(name).options
    changed = CodedModel(RESNET, "none", recipe=name, codec={"effort": 2}, test_effort=3)
    assert changed.recipe.options["effort"] == 3
    pictures = [torch.from_numpy(photo[:32, :32]).permute(2, 0, 1)]
    monkeypatch.setattr("npp.integrations.openmmlab.picture_coding.compress", noted)
    data = {"inputs": pictures, "data_samples": labelled(pictures)}
    changed(**changed.data_preprocessor(copy.deepcopy(data), True), mode="loss")
    changed.test_step(copy.deepcopy(data))
    assert efforts == [2, 3], "that of training, then that of the test"


def test_wrong_settings_are_named(fcos: CodedModel, photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="channels must be bgr or rgb, not 'BGR'"):
        CodedModel(RESNET, "none", channels="BGR")
    with pytest.raises(ValueError, match="exclude each other"):
        CodedModel(RESNET, "none", recipe="detection", scale=0.5)
    with pytest.raises(ConfigError, match="trade_off"):
        CodedModel(RESNET, "none", trade_off={"qp": 37})
    with pytest.raises(npp.EncodeError, match="effort"):
        CodedModel(RESNET, "none", test_effort=17)
    normalised = [(picture.float() - 120) / 60 for picture in raw_pictures(photo)]
    with pytest.raises(ValueError, match="raw pictures from 0 to 255"):
        fcos.test_step({"inputs": normalised, "data_samples": boxed(normalised)})
    by_slope = CodedModel(RESNET, "none", trade_off={"qps": [25, 44]})
    with pytest.raises(ValueError, match="SlopeHook"):
        by_slope(**_batch(photo, RESNET), mode="loss")


def test_weights_that_do_not_fit_are_refused(fcos: CodedModel, tmp_path: Any) -> None:
    state = fcos.inner.state_dict()
    gone = next(iter(state))
    del state[gone]
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=f"lacks {gone}"):
        load_weights(fcos.inner, str(tmp_path / "x.pth"))
    with pytest.raises(FileNotFoundError):
        CodedModel(FCOS, str(tmp_path / "none.pth"))
    with pytest.raises(FileNotFoundError, match="fcos/none"):
        CodedModel("mmdet::fcos/none.py", "none")
