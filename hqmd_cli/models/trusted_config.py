"""What the settings of an hf: model may ask for: numbers and names, but nothing that brings in code or other files.

transformers would fetch and run kernels of the hub that config.json names (where the package `kernels` is installed),
timm would open addresses that stand where the name of a network belongs, and peft another model.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hqmd_cli.config.base import brief
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.checked_json import LENIENT, read_json

PLAIN_ATTENTION = ("eager", "sdpa", None)  # of torch itself; they differ by rounding only
ADDRESS = re.compile(r"\s*(hf[-_]hub|local[-_]dir):", re.IGNORECASE)  # as timm reads them
NETWORK_KEYS = ("backbone", "architecture")  # whose value timm may read
ANY_ADDRESS = re.compile(r"[\w+.-]*:|.*\.\.|[/\\]|.*\\")
CODE_KEYS = {  # settings that bring in code of other packages or of the hub
    "quantization_config": "is quantized, which takes code of other packages; use the model it was made from",
    "kernel_config": "asks for kernels, code from the hub",
    "use_kernels": "asks for kernels, code from the hub",
}
ADAPTER = "adapter_config.json"


def require_trusted(name: str, folder: Path, files: Sequence[Path]) -> None:
    """Raise HqmdError, which names the file, if the settings of a model bring in code or other files.

    `files`: those that the model's answers depend on; the JSON files among them are read.
    """
    if (folder / ADAPTER).exists():
        raise HqmdError(f"{name}: has an {ADAPTER}: adapters of other models are not opened; merge it into its model")
    there = {path.name for path in files}
    for path in (path for path in files if path.suffix == ".json"):
        try:
            values = read_json(path, dict, LENIENT)
        except (OSError, ValueError) as error:
            raise HqmdError(f"{path}: cannot be read: {first_line(error)}") from error
        if why := distrust(values):
            raise HqmdError(f"{path}: {why}; hqmd does not open such a model")
        parts = values.get("weight_map", {})
        if not (isinstance(parts, dict) and all(isinstance(part, str) and part in there for part in parts.values())):
            raise HqmdError(f"{path}: names weights that are not beside it as safetensors files")


def distrust(values: Mapping[str, Any]) -> str:
    """Return which setting brings in code or other files, for a message; an empty string if none does."""
    for key, value in settings_in(values):
        if key in CODE_KEYS and value not in (None, False):
            return f"{key}: the model {CODE_KEYS[key]}"
        if key.endswith(("_implementation", "_implementation_internal")) and "/" in str(value):
            return f"{key} {brief(value)} asks for a kernel, code from the hub"
        if isinstance(value, str) and ADDRESS.match(value):
            return f"{key} {brief(value)} is an address, which would be opened"
        if key in NETWORK_KEYS and isinstance(value, str) and ANY_ADDRESS.match(value):
            return f"{key} {brief(value)} is not the plain name of a network"
    return ""


def settings_in(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting by its name, those of nested sections, too."""
    if key:
        yield key, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from settings_in(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from settings_in(inner, key)


def fix_attention(config: Any) -> None:
    """Let torch compute attention, in a transformers config and all configs in it, whatever they ask for.

    Other ways, such as flash_attention_2, give the same numbers but for rounding, and may be fetched from the hub.
    """
    if getattr(config, "_attn_implementation", None) not in PLAIN_ATTENTION:
        config._attn_implementation = None  # transformers chooses between the plain ways
    for inner in list(vars(config).values()):
        if hasattr(inner, "_attn_implementation"):  # a config of a backbone or an encoder
            fix_attention(inner)
