"""Depth models of `transformers`, each family with its own processor, tiny and with random weights: no test downloads.

`save_model(family, folder)` writes such a folder as the hub has it, the same one each time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

DINO: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}
VIT = DINO | {"intermediate_size": 32, "patch_size": 8}
NECK: dict[str, Any] = {"neck_hidden_sizes": [8] * 4, "reassemble_factors": [4, 2, 1, 0.5]}
Parts = tuple[nn.Module, Any]  # model, image processor


def small_depth_anything() -> dict[str, Any]:
    """Settings that all versions of Depth Anything share."""
    return {
        "backbone_config": transformers.Dinov2Config(
            **DINO, patch_size=4, out_indices=[1, 2], reshape_hidden_states=False
        ),
        "patch_size": 4,
        "reassemble_hidden_size": 24,
        "reassemble_factors": [2, 1],
        "neck_hidden_sizes": [8, 8],
        "fusion_hidden_size": 8,
        "head_hidden_size": 8,
    }


KEPT_SHAPE: dict[str, Any] = {"size": {"height": 32, "width": 32}, "keep_aspect_ratio": True, "ensure_multiple_of": 4}


def depth_anything(**settings: Any) -> Parts:
    """With a DPT processor, as published; `settings` say what its numbers are."""
    config = transformers.DepthAnythingConfig(**small_depth_anything(), **settings)
    return transformers.DepthAnythingForDepthEstimation(config), transformers.DPTImageProcessor(**KEPT_SHAPE)


def prompt_depth_anything() -> Parts:
    """It could take measured depth beside the photo."""
    config = transformers.PromptDepthAnythingConfig(**small_depth_anything(), depth_estimation_type="metric")
    processor = transformers.PromptDepthAnythingImageProcessor(**KEPT_SHAPE)
    return transformers.PromptDepthAnythingForDepthEstimation(config), processor


def tipsv2() -> Parts:
    """Bins of metres on a vision-and-language backbone; as of transformers 5.24, perhaps earlier."""
    backbone = transformers.Tipsv2VisionConfig(
        **VIT | {"num_hidden_layers": 4}, out_indices=[1, 2, 3, 4], reshape_hidden_states=False
    )
    config = transformers.Tipsv2DptConfig(backbone_config=backbone, **NECK, fusion_hidden_size=8, num_depth_bins=8)
    return transformers.Tipsv2DptForDepthEstimation(config), transformers.Tipsv2DptImageProcessor(
        size=KEPT_SHAPE["size"]
    )


def zoedepth() -> Parts:
    """On BEiT, with one head of bins."""
    backbone = transformers.BeitConfig(
        **VIT | {"num_hidden_layers": 4},
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = transformers.ZoeDepthConfig(
        backbone_config=backbone,
        **NECK,
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=8,
        bin_embedding_dim=8,
        num_attractors=[4, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
    )
    processor = transformers.ZoeDepthImageProcessor(size={"height": 32, "width": 64}, ensure_multiple_of=32)
    return transformers.ZoeDepthForDepthEstimation(config), processor


def dpt(**settings: Any) -> Parts:
    """On a plain ViT, as MiDaS 3.0."""
    config = transformers.DPTConfig(
        **VIT | NECK | {"num_hidden_layers": 4} | settings, backbone_out_indices=[0, 1, 2, 3], fusion_hidden_size=8
    )
    return transformers.DPTForDepthEstimation(config), transformers.DPTImageProcessor(size={"height": 32, "width": 32})


def dpt_hybrid() -> Parts:
    """Half a ResNet, as MiDaS 3.0's hybrid."""
    backbone = {
        "model_type": "bit",
        "hidden_sizes": [8, 8, 24],
        "embedding_size": 8,
        "num_groups": 4,
        "depths": [1, 1, 1],
        "out_features": ["stage1", "stage2", "stage3"],
        "global_padding": "same",
        "layer_type": "bottleneck",
        "embedding_dynamic_padding": True,
    }
    return dpt(patch_size=16, is_hybrid=True, backbone_config=backbone, backbone_featmap_shape=[1, 24, 2, 2])


def glpn() -> Parts:
    """Its processor rounds the photo down to multiples of 32."""
    config = transformers.GLPNConfig(hidden_sizes=[8, 8, 8, 8], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8)
    return transformers.GLPNForDepthEstimation(config), transformers.GLPNImageProcessor()


def depth_pro(use_fov_model: bool = True) -> Parts:
    """Patches at three scales, and with `use_fov_model` a field of view."""
    encoder = {"model_type": "dinov2", **DINO, "patch_size": 8}
    config = transformers.DepthProConfig(
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
        patch_size=32,
        fusion_hidden_size=8,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        use_fov_model=use_fov_model,
    )
    size = {"height": 64, "width": 64}
    return transformers.DepthProForDepthEstimation(config), transformers.DepthProImageProcessor(size=size)


FAMILIES: dict[str, Callable[[], Parts]] = {
    "depth-anything": lambda: depth_anything(depth_estimation_type="relative"),
    "depth-anything-metric": lambda: depth_anything(depth_estimation_type="metric", max_depth=20),
    "prompt-depth-anything": prompt_depth_anything,
    "zoedepth": zoedepth,
    "dpt": dpt,
    "dpt-hybrid": dpt_hybrid,
    "glpn": glpn,
    "depth-pro": depth_pro,
    "depth-pro-without-fov": lambda: depth_pro(use_fov_model=False),
}
if hasattr(transformers, "Tipsv2DptConfig"):
    FAMILIES["tipsv2"] = tipsv2


def save_model(family: str, folder: Path, seed: int = 0) -> Path:
    """config.json, model.safetensors and preprocessor_config.json; another `seed` is another revision."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = FAMILIES[family]()
        shake(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def shake(model: nn.Module) -> None:
    """Weights by which the depth depends on the photo: as transformers starts them, all pixels come out alike."""
    with torch.no_grad():
        for parameter in model.parameters():
            spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter += spread * torch.randn(parameter.shape)
        match model:  # depths above 0, where a ReLU would let none pass, and a field of view that a camera may have
            case transformers.DepthProForDepthEstimation():
                model.head.layers[-2].weight *= 1e-4
                model.head.layers[-2].bias += 0.5
                if model.fov_model:
                    model.fov_model.head.layers[-1].bias += 60
            case transformers.DPTForDepthEstimation():
                model.head.head[-2].bias += 0.5
