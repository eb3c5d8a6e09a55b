"""Small networks of other people's packages with random weights, made without a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CLASSES = 5
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_WIDTHS: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
_HEADS: dict[str, Any] = {
    "d_model": 32,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
}


def _livelier(network: nn.Module) -> nn.Module:
    """Weights that let the picture show in what the network says."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1 and "bbox" in name:
                value.normal_(0, 0.1, generator=generator)
            elif value.ndim > 1 and any(part in name for part in ("class", "linear")):
                value.normal_(0, 0.5, generator=generator)
    return network


def detr() -> nn.Module:
    import transformers as library

    backbone = library.ResNetConfig(layer_type="basic", out_features=["stage4"], **_WIDTHS)
    settings = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    config = library.DetrConfig(
        backbone_config=backbone, num_queries=7, num_labels=CLASSES, **settings, **_HEADS
    )
    return _livelier(library.DetrForObjectDetection(config))


def rt_detr() -> nn.Module:
    import transformers as library

    backbone = library.RTDetrResNetConfig(
        layer_type="basic", out_features=["stage2", "stage3", "stage4"], **_WIDTHS
    )
    config = library.RTDetrConfig(
        backbone_config=backbone,
        num_queries=9,
        num_labels=CLASSES,
        encoder_hidden_dim=32,
        encoder_in_channels=[16, 16, 32],
        decoder_in_channels=[32, 32, 32],
        **_HEADS,
    )
    return _livelier(library.RTDetrForObjectDetection(config))


def yolos() -> nn.Module:
    import transformers as library

    config = library.YolosConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=32,
        image_size=[64, 64],
        num_detection_tokens=6,
        num_labels=CLASSES,
    )
    return _livelier(library.YolosForObjectDetection(config))


def vit() -> nn.Module:
    import transformers as library

    config = library.ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=32,
        image_size=64,
        num_labels=CLASSES,
    )
    return _livelier(library.ViTForImageClassification(config))


def resnet() -> nn.Module:
    import transformers as library

    config = library.ResNetConfig(layer_type="basic", num_labels=CLASSES, **_WIDTHS)
    return _livelier(library.ResNetForImageClassification(config))


def segformer() -> nn.Module:
    import transformers as library

    config = library.SegformerConfig(
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        num_labels=CLASSES,
    )
    return _livelier(library.SegformerForSemanticSegmentation(config))


def mask2former() -> nn.Module:
    import transformers as library

    backbone = library.SwinConfig(
        embed_dim=12,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = library.Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=4,
        num_labels=CLASSES,
    )
    return _livelier(library.Mask2FormerForUniversalSegmentation(config))


def yolo(file: str) -> Any:
    """A ``YOLO`` of a YAML file that sees things: its classes are likelier than those of a fresh one, and its
    boxes smaller."""
    import ultralytics

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)  # fixtures of a module are made before a test is seeded
        found = ultralytics.YOLO(file)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in found.model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_var.fill_(0.2)
                part.bias.normal_(0, 0.1, generator=generator)
        for name, value in found.model.named_parameters():
            if "cv3" in name and name.endswith("2.bias"):
                value.fill_(-2.0)
            if "cv2" in name and name.endswith("2.bias"):
                bins = len(value) // 4
                value.copy_(-torch.arange(bins).repeat(4) if bins > 1 else torch.full((4,), 0.7))
    return found
