"""Settings of hf: models that would bring in code or other files are refused; no transformers is needed to tell."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.models.trusted_config import distrust, fix_attention, require_trusted

REFUSED = {
    "kernel": {"_attn_implementation": "evil/kernel"},
    "kernel of a version": {"attn_implementation": "org/kernel@v1:run"},
    "kernel of a backbone": {"backbone_config": {"model_type": "dinov2", "_attn_implementation": "evil/kernel"}},
    "kernel in a list": {"parts": [{"_attn_implementation": "evil/kernel"}]},
    "kernel by part": {"_attn_implementation": {"": "sdpa", "backbone_config": "evil/kernel"}},
    "internal": {"_attn_implementation_internal": "evil/kernel"},
    "experts": {"_experts_implementation": "evil/kernel"},
    "kernels": {"use_kernels": True},
    "mapping": {"kernel_config": {"RMSNorm": "evil/kernel:Norm"}},
    "quantized": {"quantization_config": {"quant_method": "mxfp4"}},
    "timm of the hub": {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf-hub:evil/net"}},
    "timm, older": {"use_timm_backbone": True, "backbone": "hf_hub:evil/net"},
    "timm, in capitals": {"backbone": "HF-HUB:evil/net"},
    "timm of a folder": {"backbone": "local-dir:/tmp/net"},
    "timm of anything": {"backbone": "file:///tmp/net"},
    "a path": {"backbone": "../../net"},
    "an address elsewhere": {"something": "hf-hub:evil/net"},
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED)
def test_what_brings_in_code_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "dpt", **values}))
    with pytest.raises(HqmdError, match=rf"^{path}: .*hqmd does not open such a model$"):
        require_trusted("hf:model", tmp_path, [path])


@pytest.mark.parametrize(
    "values",
    [
        {"_attn_implementation": "eager"}, {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation": None}, {"quantization_config": None}, {"use_kernels": False},
        {"backbone": "resnet50.a1_in1k"}, {"backbone": None}, {"backbone": "microsoft/resnet-50"},
        {"_name_or_path": "C:\\models\\dpt"}, {"auto_map": {"AutoConfig": "a--b.C"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_publishers_write_passes(values: dict[str, Any]) -> None:
    assert distrust({"model_type": "dpt", **values}) == ""


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    for name, content in (("config.json", "[" * 100_000), ("preprocessor_config.json", "[]")):
        (tmp_path / name).write_text(content)
        with pytest.raises(HqmdError, match=rf"{name}: cannot be read: (nested|holds a list)"):
            require_trusted("hf:model", tmp_path, [tmp_path / name])


def test_weights_come_from_the_models_folder_only(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    files = [index, tmp_path / "model-1-of-1.safetensors"]
    index.write_text(json.dumps({"weight_map": {"a": "model-1-of-1.safetensors"}}))
    require_trusted("hf:model", tmp_path, files)
    for place in ("../model-1-of-1.safetensors", "/tmp/a.safetensors", "pytorch_model.bin", 3):
        index.write_text(json.dumps({"weight_map": {"a": place}}))
        with pytest.raises(HqmdError, match="names weights that are not beside it"):
            require_trusted("hf:model", tmp_path, files)


def test_adapters_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(HqmdError, match="hf:model: has an adapter_config"):
        require_trusted("hf:model", tmp_path, [])


def test_attention_is_torchs_own_in_all_parts() -> None:
    inner = SimpleNamespace(_attn_implementation="flash_attention_2")
    config = SimpleNamespace(_attn_implementation="flash_attention_3", backbone_config=inner, sizes=[1])
    fix_attention(config)
    assert config._attn_implementation is None and inner._attn_implementation is None
    config._attn_implementation = "eager"
    fix_attention(config)
    assert config._attn_implementation == "eager"
