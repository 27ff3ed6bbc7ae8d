"""Any ONNX file that gives depth: onnx:FILE, or onnx:org/name[@revision]/FILE on the Hugging Face hub. No torch.

A profile says how the file wants its picture and what it answers (onnx_profile.py): one of the catalogue, the user's
own, or what `hqmd export` wrote into the file.
"""

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.catalogue import facts
from hqmd_cli.checkpoints.hub_download import snapshot
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.checked_json import parse_json
from hqmd_cli.files.regular import file_hash
from hqmd_cli.geometry.camera import NYU_FX, NYU_SHORTER_SIDE
from hqmd_cli.inference.engines.onnx import (
    DEPTH,
    MOST_SHOWN,
    RGB,
    Accelerator,
    available,
    brief,
    described,
    open_session,
    reason_of,
)
from hqmd_cli.inference.engines.providers import candidates, named
from hqmd_cli.inference.foreign.adapter import refuse_options, seen_with_mirror, settled_kind
from hqmd_cli.inference.foreign.after_onnx import AFTER, ALSO_CALLED, NEEDED
from hqmd_cli.inference.foreign.onnx_picture import Size, fed, shown
from hqmd_cli.inference.foreign.onnx_profile import Profile, find_profile
from hqmd_cli.inference.open import OpenModel, OpenOptions, Seen
from hqmd_cli.units import Kind

HUB_PLACE = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>refs/pr/\d+|[\w.-]+))?/(?P<file>[\w./ -]+\.onnx)")
SIDE_FILES = ("_data*", ".data*")  # after the graph's name: where its weights are, if not in it
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
OWN_KEY = "hqmd"  # of the metadata in files that `hqmd export` wrote
OWN = {"kind": "depth", "input": RGB, "output": DEPTH, "channels_last": True, "most_pixels": 4_000_000}
ESCAPES = "escapes"  # as ONNX Runtime complains about weights beside a link
COLOURS = 3
ASPECT_KEPT = 0.01  # relative change of the aspect ratio that is not worth a remark
LINES = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


class Source(NamedTuple):
    """A file and its name."""

    path: Path
    name: str  # onnx:org/name@commit/FILE, or onnx:FILE

    @property
    def files(self) -> list[Path]:
        """The graph and the files of its weights."""
        beside = [path for end in SIDE_FILES for path in self.path.parent.glob(f"{self.path.name}{end}")]
        return [self.path, *sorted(beside)]


class Known(NamedTuple):
    """A profile and how it came about."""

    profile: Profile
    origin: str
    follows_camera: bool


def open_model(name: str, wish: OpenOptions) -> OpenModel:
    """Open onnx:FILE. Raises HqmdError for a missing file, and for one without a profile."""
    refuse_options(name, wish, ("auto", "onnx"), "is computed by ONNX Runtime, at the size that its profile says")
    source = find_source(name.partition(":")[2])
    graph, why = open_graph(source, wish)
    profile, origin, follows_camera = graph.known
    stated: tuple[Kind, str] | None = (profile.kind, origin) if profile.kind else None  # type: ignore[assignment]
    kind, known_by = settled_kind(source.name, stated, wish)
    sees = seen_with_mirror(graph.see) if wish.flip else graph.see
    return OpenModel(
        name=source.name,
        predict=lambda image: sees(image, None).depth,
        engine=graph.name + (f" ({why})" if why else ""),
        precision="",
        digest=lambda: sha256(f"{file_hash(*source.files)} {profile}".encode()).hexdigest(),
        flips=wish.flip,
        follows_camera=follows_camera and kind == "depth",
        kind=kind,
        fallback=why,
        origin=known_by,
        sees=sees,
    )


def find_source(place: str) -> Source:
    """Find a local file, or download it with its weights from the hub. Raises HqmdError if neither has it."""
    path = Path(place).expanduser()
    if path.is_file():
        return Source(path, f"onnx:{place}")
    if match := HUB_PLACE.fullmatch(place):
        names = [match["file"], *(f"{match['file']}{end}" for end in SIDE_FILES)]
        folder = snapshot(match["repo"], match["revision"], names)
        if not (folder / match["file"]).is_file():
            raise HqmdError(f"onnx:{place}: the model on the hub has no {match['file']}")
        return Source(folder / match["file"], f"onnx:{match['repo']}@{folder.name}/{match['file']}")
    raise HqmdError(f"onnx:{place}: neither a file here nor org/name[@revision]/FILE.onnx on the Hugging Face hub")


def open_graph(source: Source, wish: OpenOptions) -> tuple["Graph", str]:
    """Open the file on an accelerator that is there and computes it right, else on the CPU; and say why not there."""

    def make(accelerator: Accelerator | None) -> Graph:
        return Graph(source, wish.profile, wish.threads, accelerator)

    if wish.device not in ("auto", "cpu") and named(wish.device) is None:
        raise HqmdError(f"--device {wish.device}: {source.name} is computed by ONNX Runtime, which has no such device")
    providers = candidates(wish.device, available()[0]) if wish.device != "cpu" else []
    if not providers:
        return make(None), ""
    from hqmd_cli.inference.engines.accelerators import open_accelerated

    about = [file_hash(*source.files), source.path.name, wish.profile]
    graph, why = open_accelerated(make, source.path, lambda: about, providers, wish.device)
    if graph is None and wish.device != "auto":
        raise HqmdError(f"{why}; use --device cpu")
    return (graph or make(None)), why


class Graph:
    """An ONNX file in ONNX Runtime: `see(image, focal_px)`, from any thread.

    On an accelerator, `nodes` counts the nodes that it took. Raises HqmdError if the file cannot be opened, or does not
    have what its profile says.
    """

    precision, fallback = "", ""

    def __init__(self, source: Source, wanted: str, threads: int, accelerator: Accelerator | None = None) -> None:
        self.source = source
        self.computing = Lock() if accelerator else None  # not every provider takes two photos at once
        self.session, self.nodes, where, self.said = open_beside_its_weights(source, threads, accelerator)
        self.name = f"ONNX Runtime on {where}"
        self.known = known_of(self, wanted)
        profile = self.known.profile
        self.input = self.pick(self.session.get_inputs(), profile.input, "input")
        if self.input.type not in TYPES:
            raise self.misfit(f"its input {self.input.name} takes {self.input.type}, no floats or bytes")
        self.output = self.pick(self.session.get_outputs(), profile.output, "output").name
        self.others = {name: self.other(name) for name in NEEDED[profile.after]}
        self.require_one_photo()
        self.fixed = self.fixed_size()
        self.feed_also = {"num_tokens": np.array(profile.tokens, np.int64)} if profile.tokens else {}
        if unfed := {value.name for value in self.session.get_inputs()} - {self.input.name, *self.feed_also}:
            raise self.misfit(f"nothing is known for its input {min(unfed)}")

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.see(picture, None).depth

    def see(self, image: NDArray[np.uint8], focal_px: float | None) -> Seen:
        """Compute the map of a photo (H, W, 3), whose focal length in pixels may be known."""
        height, width = image.shape[:2]
        profile = self.known.profile
        picture = shown(image, profile, self.fixed)
        outputs = self.run(fed(picture.rgb, profile, TYPES[self.input.type]), (height, width))
        try:
            answer = AFTER[profile.after](outputs, self.output, focal_px and focal_px * picture.ratio)
        except HqmdError as error:
            raise self.misfit(str(error)) from error
        depth = answer.depth[self.inside(picture.inner, picture.rgb.shape, answer.depth.shape)]
        if not np.isfinite(depth).all():
            raise HqmdError(f"{self.source.name}: its map is not finite; the file is damaged, or its profile wrong")
        factor = profile.scale
        if profile.focal:  # for NYU's camera, as Intrinsics.metres_factor expects
            factor *= NYU_FX / NYU_SHORTER_SIDE * min(height, width) * picture.ratio / profile.focal
        if factor != 1:
            depth = depth * np.float32(factor)
        enlarged = cv2.resize(depth, (width, height), interpolation=LINES[profile.enlarge]).astype(
            np.float32, copy=False
        )
        np.clip(enlarged, depth.min(), depth.max(), out=enlarged)  # cubic overshoots at edges
        own = answer.focal_px and answer.focal_px / picture.ratio
        return Seen(enlarged, own, "; ".join(filter(None, (self.squeezed(height, width), left_out(answer.left_out)))))

    def run(self, values: NDArray[Any], size: Size) -> Mapping[str, NDArray[Any]]:
        """Run the session; the outputs by their names in the profile."""
        wanted = {self.output: self.output, **self.others}
        try:
            with self.computing or nullcontext():
                found = self.session.run([*wanted.values()], {self.input.name: values, **self.feed_also})
        except Exception as error:  # most likely, memory ran out
            raise HqmdError(
                f"{self.source.name}: ONNX Runtime failed on a photo of {size[0]} x {size[1]} pixels: "
                f"{brief(reason_of(error))}"
            ) from error
        return dict(zip(wanted, found, strict=True))

    def inside(self, inner: tuple[slice, slice], shape: tuple[int, ...], of: tuple[int, ...]) -> tuple[slice, ...]:
        """Return where the photo lies in a map, which may be smaller than the picture."""
        ratios = [side / before for side, before in zip(of, shape, strict=False)]
        return tuple(
            slice(round(part.start * ratio), round(part.stop * ratio))
            for part, ratio in zip(inner, ratios, strict=True)
        )

    def squeezed(self, height: int, width: int) -> str:
        """Say that a file of one size changes the shape of a photo; an empty string if it does not."""
        if self.fixed is None or self.known.profile.fit in ("pad", "stretch"):
            return ""
        rows, columns = self.fixed
        if abs(columns / rows / (width / height) - 1) <= ASPECT_KEPT:
            return ""
        return f"squeezed to {columns} x {rows} for the network, the only size that it takes"

    def require_one_photo(self) -> None:
        """Raise HqmdError unless the input takes one RGB photo, with its colours where the profile says."""
        profile, shape = self.known.profile, self.input.shape
        if len(shape) != 4 + profile.views:
            raise self.misfit(f"its input {self.input.name} has {len(shape)} axes, {shape}")
        colours, other = (shape[-1], shape[-3]) if profile.channels_last else (shape[-3], shape[-1])
        if colours != COLOURS and (isinstance(colours, int) or other == COLOURS):
            is_last = str(profile.channels_last).lower()
            raise self.misfit(f"channels_last = {is_last} is wrong for RGB in its input {self.input.name}")
        if several := [side for side in shape[:-3] if isinstance(side, int) and side != 1]:
            raise self.misfit(f"it takes {several[0]} pictures at once, and hqmd gives it one")

    def fixed_size(self) -> Size | None:
        """Return the only (height, width) that the graph takes; None if it takes any."""
        rows, columns = self.input.shape[1:3] if self.known.profile.channels_last else self.input.shape[-2:]
        return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None

    def pick(self, values: list[Any], name: str, what: str) -> Any:
        """Return the input or output of this name; without a name, the only one."""
        if not name and len(values) == 1:
            return values[0]
        for value in values:
            if value.name == name:
                return value
        raise self.misfit(f"it has no {what} {name}" if name else f"it has several {what}s, and none is named")

    def other(self, name: str) -> str:
        """Return what a further output is called in this file."""
        names = {value.name for value in self.session.get_outputs()}
        called = name if name in names else ALSO_CALLED.get(name, name)
        if called not in names:
            raise self.misfit(f"it has no output {name}")
        return called

    def misfit(self, why: str) -> HqmdError:
        """Return the error for a file that does not have what its profile says."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        has = "; ".join(
            f"{what}: {', '.join(described(value) for value in values[:MOST_SHOWN])}"
            for what, values in (("inputs", inputs), ("outputs", outputs))
        )
        return HqmdError(f"{self.source.name}: does not fit its profile: {why}; {printable(has)}")


def left_out(share: float) -> str:
    """Say how much of a photo has no depth of its own; an empty string for nothing."""
    if not share:
        return ""
    return f"{share:.1%} of the pixels are sky, or have no depth by the model itself; they are put behind the rest"


def known_of(graph: Graph, wanted: str) -> Known:
    """Return the profile of a file: the one that is asked for, or what `hqmd export` wrote into it.

    Raises HqmdError for a file without a profile, since a graph shows neither normalization nor unit.
    """
    if wanted:
        profile = find_profile(wanted, facts()["profile"])
        origin = f"by the profile {wanted}" if profile.kind else ""
        return Known(profile, origin, follows_camera=bool(profile.focal))
    if text := graph.session.get_modelmeta().custom_metadata_map.get(OWN_KEY):
        return Known(Profile.from_flat(OWN), written_by(graph, text), follows_camera=True)
    ends = [(value.name, value.type) for value in graph.session.get_inputs()]
    if ends == [(RGB, "tensor(uint8)")] and any(value.name == DEPTH for value in graph.session.get_outputs()):
        said = "taken for a file of an earlier `hqmd export` by its input and output"
        return Known(Profile.from_flat(OWN), said, follows_camera=True)
    names = ", ".join(facts()["profile"])
    raise graph.misfit(f"it does not say what it expects; pass --onnx-profile FILE.toml, or one of {names}")


def written_by(graph: Graph, text: str) -> str:
    """Return in words what `hqmd export` wrote into a file. Raises HqmdError for what it did not write."""
    try:
        values = parse_json(text, dict)
        if values["unit"] != "metre" or values["camera"] != "nyu":
            raise ValueError(f"unit {values['unit']}, camera {values['camera']}: this hqmd does not know them")
        return f"exported by hqmd {printable(str(values['hqmd_version']))}, model {str(values['model_sha256'])[:12]}"
    except (KeyError, ValueError) as error:
        raise HqmdError(f"{graph.source.name}: its metadata {OWN_KEY} is damaged: {first_line(error)}") from error


def open_beside_its_weights(source: Source, threads: int, accelerator: Accelerator | None) -> tuple[Any, int, str, str]:
    """Open a graph as open_session does; weights beside it may be links, as in the hub's cache.

    Some versions of ONNX Runtime refuse those. Then the files are linked or copied for as long as it takes to open.
    """
    try:
        return open_session(source.path, threads, accelerator)
    except HqmdError as error:
        if len(source.files) == 1:
            if "external data" in str(error).lower():
                lacks = f"keeps its weights in a file beside it, {source.path.name}_data or so, which is not there"
                raise HqmdError(f"{source.name}: {lacks}") from error
            raise
        if ESCAPES not in str(error) or not any(path.is_symlink() for path in source.files):
            raise
    with TemporaryDirectory() as folder:
        for path in source.files:
            try:
                os.link(path.resolve(), Path(folder, path.name))
            except OSError:
                shutil.copy(path, Path(folder, path.name))
        return open_session(Path(folder, source.path.name), threads, accelerator)
