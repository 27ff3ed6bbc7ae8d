"""The steps of docker/Dockerfile in a bare Debian, where Docker cannot run; long, and only for root on Debian.

Debian's Python in a venv at /usr/local stands for the image's. $HQMD_BARE_DEBIAN may name a folder that
`debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv trixie FOLDER` made; it is copied.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEBIAN = os.environ.get("HQMD_BARE_DEBIAN", "")
MAKE = ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv", "trixie"]
# Mounts of its own, as in a container: the root is read-only, /tmp and /work are in memory.
ENTER = """
root=$1; user=$2; shift 2
mount --bind "$root" "$root" && mount -o remount,ro,bind "$root" && mount --bind /dev "$root/dev" || exit 125
mount --rbind /proc "$root/proc" || exit 125 # as in a container; ONNX Runtime opens weights by it
mount -t tmpfs -o mode=1777 none "$root/tmp" && mount -t tmpfs -o mode=1777 none "$root/work" || exit 125
cp "$root/photo.jpg" "$root/work" && cd / && exec chroot --userspec="$user" --groups= "$root" env -i "$@"
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux"),
    pytest.mark.skipif(not DEBIAN and shutil.which("debootstrap") is None, reason="debootstrap is not installed"),
]


def steps(dockerfile: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: (RUN, command) and so on."""
    lines = (ROOT / "docker" / dockerfile).read_text("utf-8").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word.isupper()]


def run_in(root: Path, command: str) -> str:
    """Run a shell command in the chroot as root, as a step of the build does; return what it printed."""
    env = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    env |= {name: os.environ[name] for name in ("PIP_CERT", "PIP_DEFAULT_TIMEOUT") if name in os.environ}
    shell = ["chroot", str(root), "sh", "-c", command]
    done = subprocess.run(shell, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bare Debian with Python in /usr/local, and the clone in /clone as `COPY . /clone` leaves it."""
    root = tmp_path_factory.mktemp("image") / "root"
    subprocess.run(["cp", "-a", DEBIAN, str(root)] if DEBIAN else [*MAKE, str(root)], check=True, capture_output=True)
    for file in ("/etc/resolv.conf", "/etc/hosts", os.environ.get("PIP_CERT", "")):
        if file and Path(file).is_file():
            shutil.copyfile(file, root / file.lstrip("/"))
    kept = re.findall(r"^!(\S+)", (ROOT / "docker" / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE)
    for name in kept:
        source, target = ROOT / name, root / "clone" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", root / "photo.jpg")
    run_in(root, "python3 -m venv /usr/local")
    yield root
    shutil.rmtree(root)


def test_the_light_image(debian: Path) -> None:
    """Built as the Dockerfile says, then started with a read-only root by users who have neither home nor name."""
    env: list[str] = []
    said = dict[str, str]()
    for word, rest in steps("Dockerfile"):
        said[word] = rest
        if word == "RUN":
            run_in(debian, rest)
        elif word == "COPY" and rest.startswith("--from=build "):
            source, target = (debian / place.lstrip("/") for place in rest.split()[1:])
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
        elif word == "ENV":
            env += rest.split()
    assert said["USER"] == "65532:65532" and said["WORKDIR"] == "/work" and said["ENTRYPOINT"] == '["hqmd"]'
    (debian / "work").mkdir()
    libraries = run_in(debian, "find /usr/local -name 'cv2*.so' | xargs ldd")
    assert "libc.so" in libraries and "libGL" not in libraries and "not found" not in libraries
    shell = "cd /work && touch /x; hqmd predict photo.jpg -o d.png && ls -A . /tmp && hqmd --version"
    for user in (said["USER"], "12345:12345"):  # the image's, and one of --user
        started = [
            "unshare",
            "-m",
            "sh",
            "-c",
            ENTER,
            "sh",
            str(debian),
            user,
            "PATH=/usr/local/bin:/usr/bin:/bin",
            *env,
        ]
        done = subprocess.run([*started, "sh", "-c", shell], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "d.png" in done.stdout and "hqmd-light" in done.stdout
        refused, model, *_ = lines = done.stderr.splitlines()
        assert refused.endswith("Read-only file system") and model.startswith("hqmd-indoor, ONNX Runtime on the CPU")
        assert len(lines) == 4, done.stderr  # no line of a library


def test_what_apt_brings_is_what_opencv_loads_in_the_cuda_image(debian: Path) -> None:
    """Of docker/Dockerfile.cuda, all but the 6 GB of torch."""
    (apt,) = [rest for word, rest in steps("Dockerfile.cuda") if word == "RUN" and rest.startswith("apt-get")]
    run_in(debian, apt)
    run_in(debian, "pip install -q --no-cache-dir --prefix=/with-gl 'opencv-python>=4.12'")
    libraries = run_in(debian, "find /with-gl -name 'cv2*.so' | xargs ldd")
    assert "libc.so" in libraries and "not found" not in libraries
    run_in(debian, "PYTHONPATH=$(echo /with-gl/lib/python3*/site-packages) python -c 'import cv2; cv2.imread'")
