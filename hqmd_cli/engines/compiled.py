"""What OpenVINO compiled, kept from one run to the next: of the half second that takes, a tenth is left.

Kept by content: of the graph and of the weights beside it, with the settings, OpenVINO's version and the processor.
OpenVINO's own cache (CACHE_DIR) knows a graph by its file alone, whose weights lie in another one, and could answer
with weights that have been replaced since.
"""

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import openvino

from hqmd_cli.data import hqmd_home
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import WEIGHTS_FILE
from hqmd_cli.images import write_bytes
from hqmd_cli.records import file_hash

KEPT = 4  # networks, the newest; each takes four bytes a weight
DIGEST_BYTES = hashlib.sha256().digest_size


def compiled_network(core: openvino.Core, path: Path, settings: Mapping[str, str]) -> Any:
    """The graph at `path` for the CPU, out of the cache where it is there. Raises what OpenVINO and the system do."""
    place = hqmd_home() / "openvino" / f"{fingerprint(core, path, settings)}.compiled"
    if (content := kept(place)) is not None:
        try:
            return core.import_model(BytesIO(content), "CPU", dict(settings))
        except RuntimeError:  # what it no longer takes is compiled anew
            pass
    network = core.compile_model(core.read_model(path), "CPU", dict(settings))
    keep(place, network.export_model().getvalue())
    return network


def fingerprint(core: openvino.Core, path: Path, settings: Mapping[str, str]) -> str:
    """Of everything that a compiled network depends on."""
    processor = core.get_property("CPU", "FULL_DEVICE_NAME")
    weights = path.with_name(WEIGHTS_FILE)
    content = file_hash(path, weights) if weights.is_file() else file_hash(path)
    depends_on = openvino.__version__, processor, sorted(settings.items()), content
    return hashlib.sha256(repr(depends_on).encode()).hexdigest()


def kept(place: Path) -> bytes | None:
    """A compiled network; None where there is none, or one that was damaged, which OpenVINO might not survive."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    digest, network = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return network if hashlib.sha256(network).digest() == digest else None


def keep(place: Path, network: bytes) -> None:
    """Write one for the next run, and remove those that are too many. Where nothing can be written, all goes on."""
    try:
        write_bytes(place, hashlib.sha256(network).digest() + network)
        newest_first = sorted(place.parent.glob("*.compiled"), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in newest_first[KEPT:]:
            old.unlink(missing_ok=True)
    except (HqmdError, OSError):
        pass
