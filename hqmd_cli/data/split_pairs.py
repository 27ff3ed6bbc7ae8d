"""Part a folder of pairs into photos to learn from and photos to choose the best epoch by."""

import re
import zlib
from collections import defaultdict
from pathlib import Path

from hqmd_cli.data.pairs import PairFolder
from hqmd_cli.errors import HqmdError

NUMBER = re.compile(r"[\W_]*\d*$")  # the end of a frame's name: what stands before it names the recording
MOST = 1.5  # times the share that is asked for, so that a whole recording fits


def part(folder: Path, share: float) -> tuple[list[str], list[str], str]:
    """Return the names of train and of val, and how they were chosen, in words.

    Whole recordings, which are names alike but for a number at their end, go to val in the order of their CRC-32 until
    it has this share: the same names always give the same lists. If that gives none, as of one recording, val is the
    end of the list: of its frames, only the first resemble those before them. Raises HqmdError for another kind of
    data, and for a share that leaves a list empty.
    """
    if not PairFolder.recognises(folder):
        raise HqmdError(f"{folder}: no folder of pairs, which has {PairFolder.layout}")
    if not 0 < share < 1:
        raise HqmdError(f"--val-share {share:g}: a share lies between 0 and 1, such as 0.2")
    names = PairFolder(folder, "all", "as given", 1.0).names
    wanted = round(share * len(names))
    if not 0 < wanted < len(names):
        raise HqmdError(f"{folder}: {share:g} of {len(names)} pairs is {wanted}; both lists need one at least")
    recordings = defaultdict(list)
    for name in names:
        recordings[NUMBER.sub("", name)].append(name)
    val: list[str] = []
    chosen = []
    for recording in sorted(recordings, key=lambda each: zlib.crc32(each.encode("utf-8", "surrogateescape"))):
        if len(val) < wanted and len(val) + len(recordings[recording]) <= min(MOST * wanted, len(names) - 1):
            val += recordings[recording]
            chosen.append(recording)
    how = f"{len(chosen)} of {len(recordings)} recordings, by names without their last number"
    if not val:
        val, how = names[-wanted:], f"the last {wanted} by name, since no whole recording fits"
    return [name for name in names if name not in set(val)], sorted(val), how
