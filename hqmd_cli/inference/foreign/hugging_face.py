"""Depth models of `transformers`: hf:org/name[@revision] on the Hugging Face hub, or hf:FOLDER as it has them.

A model comes with an image processor, which resizes photos for the network and depth back to the photo. No code from
the hub is run (trust_remote_code; trusted_config.py), and weights are read from safetensors only, because pickles can
run code.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from textwrap import shorten
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.checkpoints.hub import CONFIG_FILE, HUB_NAME
from hqmd_cli.checkpoints.hub_download import snapshot
from hqmd_cli.checkpoints.safetensors_file import read_header
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.regular import file_hash
from hqmd_cli.inference.foreign.adapter import refuse_options, seen_with_mirror, settled_kind, with_mirror
from hqmd_cli.inference.foreign.output_kinds import NO_DEPTH, left_open, meaning_of, require_read
from hqmd_cli.inference.foreign.trusted_config import fix_attention, require_trusted
from hqmd_cli.inference.open import OpenModel, OpenOptions, Seen
from hqmd_cli.installed import missing, require

if TYPE_CHECKING:
    import torch

WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")  # not model.fp16.safetensors or similar
FILES = [CONFIG_FILE, "preprocessor_config.json", "processor_config.json", "model.safetensors.index.json", *WEIGHTS]
LONGEST_ERROR = 300  # characters; some errors list hundreds of models
PROBE_SIDE = 96  # pixels of the grey picture that shows missing weights


@dataclass(frozen=True)
class Source:
    """A model's folder and name."""

    folder: Path
    repo: str  # on the hub; empty for a folder of the user
    name: str  # hf:org/name@commit, or hf:FOLDER

    @property
    def files(self) -> list[Path]:
        """The files that its answers depend on, sorted."""
        return sorted(path for path in self.folder.iterdir() if any(fnmatch(path.name, name) for name in FILES))


def open_model(name: str, wish: OpenOptions) -> OpenModel:
    """Open hf:org/name or hf:FOLDER. Raises HqmdError if it is missing, not a depth model, or cannot be computed."""
    refuse_options(name, wish, ("auto", "torch"), "is computed by torch, at the size that its own processor wants")
    transformers = import_transformers()
    source = find_source(name.partition(":")[2])
    require_trusted(source.name, source.folder, source.files)
    with quiet(), explained(f"{source.name}: transformers {transformers.__version__} cannot open it"):
        config = transformers.AutoConfig.from_pretrained(source.folder, trust_remote_code=False)
        require_depth_model(source, config)
        require_read(config)
        fix_attention(config)
        stated = meaning_of(config, source.repo)
        kind, origin = settled_kind(source.name, stated, wish, why_open=left_open(config))

        from hqmd_cli.inference.device import pick_device

        device = pick_device(wish.device)
        model = load(source, config, device)
    sees = (
        (seen_with_mirror(model.see) if wish.flip else model.see) if getattr(config, "use_fov_model", False) else None
    )
    return OpenModel(
        name=source.name,
        predict=with_mirror(model) if wish.flip else model,
        engine=f"transformers {transformers.__version__}, torch on {device}",
        precision="fp32",
        digest=lambda: file_hash(*source.files),
        flips=wish.flip,
        kind=kind,
        origin=origin,
        sees=sees,
    )


def import_transformers() -> Any:
    """Import transformers when a model needs it: it is an extra, and takes seconds. Raises HqmdError without it."""
    require("transformers", "an hf: model")
    require("torch", "an hf: model")
    try:
        import transformers
    except ImportError as error:
        raise HqmdError(f"{missing('transformers', 'an hf: model')} ({first_line(error)})") from error
    return transformers


def find_source(place: str) -> Source:
    """Find a local folder, else a commit on the hub, downloaded once. Raises HqmdError for unusable files."""
    folder = Path(place).expanduser()
    if place and (folder / CONFIG_FILE).is_file():
        source = Source(folder, "", f"hf:{place}")
    elif match := HUB_NAME.fullmatch(place):
        folder = snapshot(match["repo"], match["revision"], FILES)
        source = Source(folder, match["repo"], f"hf:{match['repo']}@{folder.name}")
    elif place and folder.is_dir():
        raise HqmdError(f"hf:{place}: a folder without {CONFIG_FILE}, so not a transformers model")
    else:
        raise HqmdError(f"hf:{place}: neither a folder here nor org/name[@revision], as models on the hub are called")
    names = [path.name for path in source.files]
    if CONFIG_FILE not in names:
        raise HqmdError(f"{source.name}: has no {CONFIG_FILE}, so it is not a transformers model")
    if not any(fnmatch(name, weights) for name in names for weights in WEIGHTS):
        raise HqmdError(
            f"{source.name}: has no {WEIGHTS[0]}, and pickled weights (.bin) are not opened, as they can run code; "
            "a pull request on the hub often has it: try @refs/pr/1 and so on, or convert them"
        )
    return source


def require_depth_model(source: Source, config: Any) -> None:
    """Raise HqmdError for a model that does not predict depth."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as depth_models

    if config.model_type in NO_DEPTH:
        raise HqmdError(f"{source.name}: predicts {NO_DEPTH[config.model_type]}, not depth")
    if config.model_type not in depth_models:
        raise HqmdError(
            f"{source.name}: {config.model_type} is not one of transformers' depth models: {', '.join(depth_models)}"
        )


def load(source: Source, config: Any, device: "torch.device") -> "DepthModel":
    """Load the network with its weights, and its processor. Raises HqmdError if weights are missing."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    if getattr(config, "use_pretrained_backbone", None):
        config.use_pretrained_backbone = False  # transformers 5.0 would download another model, to overwrite it
    for path in source.files:
        if path.suffix == ".safetensors":
            read_header(path)  # weights that are cut off are named
    here_only = {"local_files_only": True, "trust_remote_code": False}
    network, loaded = AutoModelForDepthEstimation.from_pretrained(
        source.folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **here_only
    )
    processor = AutoImageProcessor.from_pretrained(source.folder, **here_only)
    model = DepthModel(source.name, network.eval().to(device), processor, device)
    if missing := sorted(loaded["missing_keys"]):
        refuse_random(model, missing)
    return model


def refuse_random(model: "DepthModel", missing: list[str]) -> None:
    """Raise HqmdError if depth depends on weights that the files lack, and which are therefore random.

    They are set to NaN, which spreads to the depth. Published DPTs lack a layer that is not used (transformers issue
    28292), and pass.
    """
    state = model.network.state_dict()
    for name in missing:
        if name in state and state[name].is_floating_point():
            state[name].fill_(np.nan)
    if not np.isfinite(model(np.full((PROBE_SIDE, PROBE_SIDE, 3), 128, np.uint8))).all():
        raise HqmdError(
            f"{model.name}: its files lack {len(missing)} weights, such as {missing[0]}; they are damaged, or belong "
            "to another network"
        )


class DepthModel:
    """(H, W, 3) uint8 RGB -> (H, W) float32, in the model's own kind. One photo at a time, from any thread."""

    def __init__(self, name: str, network: Any, processor: Any, device: "torch.device") -> None:
        self.name, self.network, self.processor, self.device = name, network, processor, device
        self.inverts = network.config.model_type == "depth_pro"  # its processor turns inverse depth into depth
        self.computing = Lock()  # includes the processor, as some convert the whole photo to floats

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.see(image, None).depth

    def see(self, image: NDArray[np.uint8], focal_px: float | None) -> Seen:
        """Compute the map of a photo (H, W, 3).

        A model that predicts the field of view gives the focal length in pixels. Where that is known, its metres follow
        it (ml-depth-pro, src/depth_pro/depth_pro.py, infer: inverse depth is divided by the focal length).
        """
        import torch

        height, width = image.shape[:2]
        doing = f"{self.name} failed on a photo of {width} x {height} pixels"
        with self.computing, explained(doing), torch.inference_mode():
            inputs = self.processor(images=Image.fromarray(image), return_tensors="pt").to(self.device)
            answer = self.network(**inputs)
            for part in ("predicted_depth", "field_of_view"):  # resized on the CPU: photos are large
                if answer.get(part) is not None:
                    answer[part] = answer[part].float().cpu()
            depth = self.at_size(answer, (height, width)).reshape(height, width).numpy()
        if answer.get("field_of_view") is None:
            return Seen(depth)
        own = width / (2 * math.tan(math.radians(float(answer["field_of_view"][0])) / 2))
        return Seen(depth * np.float32(focal_px / own) if focal_px else depth, focal_px or own)

    def at_size(self, answer: Any, size: tuple[int, int]) -> "torch.Tensor":
        """Resize depth to (H, W) by the processor, else bicubically, as transformers' pipeline did.

        Where the numbers stay what the network gave, they stay within its range: cubic interpolation overshoots at
        edges, even below zero.
        """
        import torch

        given = answer["predicted_depth"]
        if way_back := getattr(self.processor, "post_process_depth_estimation", None):
            # Positional: most call it target_sizes, ZoeDepth calls it source_sizes and removes its padding.
            depth = way_back(answer, [size])[0]["predicted_depth"]
        else:
            depth = torch.nn.functional.interpolate(given[:, None], size, mode="bicubic", align_corners=False)
        return depth if self.inverts else depth.clamp(given.min(), given.max())


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn any error of transformers or torch into a one-line HqmdError; let MemoryError pass."""
    try:
        yield
    except (HqmdError, MemoryError):
        raise
    except Exception as error:  # no common type
        said = shorten(first_line(error), LONGEST_ERROR, placeholder=" ...")
        raise HqmdError(f"{doing}: {type(error).__name__}: {said}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and advice, and restore the user's settings afterwards."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_has_none = are_progress_bars_disabled()  # transformers switches the hub's bars with its own
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if hub_has_none:
            disable_progress_bars()
