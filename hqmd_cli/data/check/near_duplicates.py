"""Equal and nearly equal photos: a model that was trained on one must not be scored on the other.

A fingerprint is a grey picture of 12 x 9 pixels, high-pass filtered and scaled to unit length. The likeness of two
photos is the scalar product of their fingerprints, 1 for equal photos.

Measured on NYU's 795 training pictures, which show the same rooms several times: the likeness of all 315,615 pairs is
0.77 or less. ALIKE finds copies after JPEG at quality 20, at half size, a third brighter or darker, with a gamma of 1.4
and with noise of 10 (all of them), rotated by 2 degrees (99.9 %), without a rim of 10 pixels (95 %) and without a
twentieth on one side (92 %). It does not find copies cropped to Eigen's region (6 %) or mirrored.

A hash is the 64 bits of pHash (https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html): which of
the 8 x 8 lowest frequencies of a grey picture of 32 x 32 pixels are above their median. A checkpoint keeps them of what
it learned from (checkpoints/photo_hashes.py). Two photos are copies if at most MOST_BITS differ. On the same 795
pictures no pair does, and the nearest differs in 10. It finds all copies after JPEG at quality 20, at half size,
squared, darker and with noise of 10; brighter 98.5 %, with a gamma of 1.4 99 %, rotated by 2 degrees 91 %, without a
rim of 10 pixels 94 %, without a twentieth on one side 72 to 79 %; cropped to Eigen's region 4 %, mirrored none. (dHash
at 6 bits, where it confuses no pair either: 95 %, 100 %, 69 %, 62 %, 22 to 86 %, 3 %, none.)
"""

import hashlib
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIZE = (12, 9)  # (W, H)
SIGMA = 2.0  # of the high-pass filter, in pixels of the fingerprint
LEAST_CONTRAST = 1.0  # of 255, root mean square; a photo below it is like no other
ALIKE = 0.85
PRODUCTS = 2**24  # computed at once, to bound the memory

THUMBNAIL = (32, 32)  # (W, H) of the picture that is hashed
LOWEST = 8  # frequencies in each direction
MOST_BITS = 8  # that differ between copies
NO_HASH = 0  # of a photo without contrast, which is like no other
ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)  # bits set in a byte

Hashes = NDArray[np.uint64]  # (N,)
thumbnail = partial(cv2.resize, dsize=THUMBNAIL, interpolation=cv2.INTER_AREA)  # of a photo (H, W, 3): its 3 kB to hash


def fingerprint(photo: NDArray[np.uint8]) -> Floats:
    """Return the fingerprint (108,) of a photo (H, W, 3): of length 1, or zeros for a photo without contrast."""
    small = cv2.resize(photo, SIZE, interpolation=cv2.INTER_AREA)  # before the grey: a hundredth of the work
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = (grey - cv2.GaussianBlur(grey, (0, 0), SIGMA)).ravel()
    length = np.linalg.norm(detail)
    if length < LEAST_CONTRAST * np.sqrt(detail.size):
        return np.zeros_like(detail)
    return (detail / length).astype(np.float32)


def identity(photo: NDArray[np.uint8]) -> bytes:
    """Return 16 bytes that two photos share only if all their pixels are equal."""
    return hashlib.blake2b(np.ascontiguousarray(photo).data, digest_size=16, key=str(photo.shape).encode()).digest()


def most_alike(held_out: Floats, seen: Floats) -> tuple[NDArray[np.intp], Floats]:
    """For each of (M, 108) fingerprints, return the row of the most similar one of (N, 108), and their likeness."""
    matches, likeness = np.empty(len(held_out), np.intp), np.empty(len(held_out), np.float32)
    step = max(1, PRODUCTS // len(seen))
    for first in range(0, len(held_out), step):
        products = held_out[first : first + step] @ seen.T
        matches[first : first + step], likeness[first : first + step] = products.argmax(axis=1), products.max(axis=1)
    return matches, likeness


def hash_of(small: NDArray[Any]) -> int:
    """Hash a thumbnail (32, 32, 3) of uint8."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if grey.std() < LEAST_CONTRAST:
        return NO_HASH
    lowest = cv2.dct(grey)[:LOWEST, :LOWEST].ravel()
    bits = lowest > np.median(lowest[1:])  # without the mean of the picture
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def copies(photos: Hashes, seen: Hashes) -> list[int]:
    """Return the indices of those of (M,) photos that are copies of one of (N,) others, by their hashes."""
    others = seen[seen != NO_HASH]
    step = max(1, PRODUCTS // (8 * max(1, len(others))))
    found: list[int] = []
    for first in range(0, len(photos), step):
        differing = (photos[first : first + step, None] ^ others).view(np.uint8)  # (m, 8 N)
        bits = ONES[differing].reshape(len(differing), -1, 8).sum(axis=2)
        found += (first + np.flatnonzero((bits <= MOST_BITS).any(axis=1))).tolist()
    return [index for index in found if photos[index] != NO_HASH]
