"""Measure `hqmd serve`: latency, throughput beside `load()` in a loop, probes under load, and memory.

    python benchmarks/serve.py latency throughput probes shapes      # a table each, in Markdown
    python benchmarks/serve.py memory --requests 10000

The server is the command in a process of its own. Loop and server take turns, round by round, so that what else the
machine does weighs on both; only their ratio means something on a machine that is shared.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

MODEL = "hqmd-indoor-small"
ROUNDS = 4
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
STARTED = re.compile(r"at https?://\S+?:(\d+)/")
TINY = """
import numpy as np
def predict(rgb):
    height, width = rgb.shape[:2]
    return np.broadcast_to(np.linspace(1, 3, width, dtype=np.float32), (height, width)).copy()
"""
LOOP = """
import sys, time
from io import BytesIO
from pathlib import Path
from PIL import Image
from hqmd_cli import load
from hqmd_cli.files.depth_files import encode_depth_mm
model = load(sys.argv[1])
photos = [Path(name).read_bytes() for name in sys.argv[2:]]
encode_depth_mm(Path("x"), model(Image.open(BytesIO(photos[0]))))
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter()
    for number in range(int(line)):
        encode_depth_mm(Path("x"), model(Image.open(BytesIO(photos[number % len(photos)]))))
    print(time.perf_counter() - began, flush=True)
"""
BARE = """
import asyncio
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 3\\r\\nconnection: close\\r\\n\\r\\nok\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Server:
    """`hqmd serve` in a process."""

    def __init__(self, *flags: str, folder: Path | None = None) -> None:
        command = [sys.executable, "-m", "hqmd_cli", "serve", "--port", "0", "--quiet", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
        assert self.process.stderr
        lines = iter(self.process.stderr.readline, "")
        self.port = int(next(found[1] for line in lines if (found := STARTED.search(line))))

    @property
    def mb(self) -> float:
        """Its memory and its worker's: what is their own of the resident set."""
        process = psutil.Process(self.process.pid)
        return sum(each.memory_full_info().uss for each in (process, *process.children())) / 1e6

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def server(*flags: str, folder: Path | None = None) -> Iterator[Server]:
    """Run a server inside the `with`."""
    running = Server(*flags, folder=folder)
    try:
        yield running
    finally:
        running.stop()


class Client:
    """One connection, kept open until the server refuses a photo."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, photo: bytes, query: str = "") -> tuple[int, float]:
        """Send a photo; return the status and Retry-After in seconds."""
        self.connection.request("POST", f"/v1/depth{query}", photo, {"Content-Type": "image/jpeg"})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:  # while the client waits, the server would close it
            self.connection.close()
        return answer.status, float(answer.getheader("Retry-After", 0))


def jpeg(height: int, width: int) -> bytes:
    """The example, at another size."""
    file = BytesIO()
    with Image.open(EXAMPLE) as picture:
        picture.convert("RGB").resize((width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


def percentile(seconds: list[float], share: float) -> float:
    """The value that this share of the times does not exceed."""
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


def latency(count: int) -> None:
    """One photo after another from one client, beside a cold `hqmd predict` for every sixth."""
    photo = jpeg(768, 1024)
    warm, cold = [], []
    with TemporaryDirectory() as folder, server("--model", MODEL) as served:
        path = Path(folder, "photo.jpg")
        path.write_bytes(photo)
        client = Client(served.port)
        client.ask(photo)
        for number in range(count):
            began = time.perf_counter()
            assert client.ask(photo)[0] == 200
            warm.append(time.perf_counter() - began)
            if number % 6 == 0:
                began = time.perf_counter()
                command = [sys.executable, "-m", "hqmd_cli", "predict", path, "-o", f"{folder}/{number}.mm.png"]
                subprocess.run([*command, "--model", MODEL], check=True, capture_output=True)
                cold.append(time.perf_counter() - began)
                client.connection.close()  # as the server does after 5 s
    print("\n| 1024 x 768 to `.mm.png` | n | p50 [s] | p95 [s] |\n| --- | --- | --- | --- |")
    for name, seconds in (("warm server, one client", warm), ("cold `hqmd predict`", cold)):
        print(f"| {name} | {len(seconds)} | {statistics.median(seconds):.2f} | {percentile(seconds, 0.95):.2f} |")
    print(f"\nRatio of the medians: {statistics.median(cold) / statistics.median(warm):.1f}")


def storm(port: int, photos: list[bytes], total: int, clients: int) -> tuple[float, Counter[int], list[float]]:
    """So many clients together get `total` answers, and come back when they are told; also return their waits."""
    left, lock, statuses, waits = [total], threading.Lock(), Counter[int](), []

    def work(number: int) -> None:
        client = Client(port)
        while True:
            with lock:
                if not left[0]:
                    return
                left[0] -= 1
            status = 0
            while status != 200:
                began = time.perf_counter()
                status, retry = client.ask(photos[number % len(photos)])
                with lock:
                    statuses[status] += 1
                    waits.append(time.perf_counter() - began)
                if status != 200:
                    time.sleep(retry * np.random.default_rng().uniform(0.5, 1))

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return time.perf_counter() - began, statuses, waits


def throughput(count: int) -> None:
    """32 clients, beside load() in a loop, in turns."""
    photos = [jpeg(*size) for size in ((480, 640), (640, 480), (576, 768), (720, 960))]
    ratios, statuses, waits = [], Counter[int](), []
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.jpg") for number in range(len(photos))]
        for path, photo in zip(paths, photos, strict=True):
            path.write_bytes(photo)
        loop = subprocess.Popen(
            [sys.executable, "-c", LOOP, MODEL, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert loop.stdin and loop.stdout
        loop.stdout.readline()
        with server("--model", MODEL) as served:
            storm(served.port, photos, 8, 4)
            print("\n| round | `load()` in a loop [photos/s] | 32 clients [photos/s] | ratio |")
            print("| --- | --- | --- | --- |", flush=True)
            for number in range(1, ROUNDS + 1):
                print(count, file=loop.stdin, flush=True)
                alone = float(loop.stdout.readline())
                together, found, waited = storm(served.port, photos, count, 32)
                ratios.append(alone / together)
                print(f"| {number} | {count / alone:.2f} | {count / together:.2f} | {ratios[-1]:.2f} |", flush=True)
                statuses += found
                waits += waited
        loop.stdin.close()
        loop.wait()
    print(f"\nMedian ratio {statistics.median(ratios):.2f}. Answers by status: {dict(statuses)}; "
          f"longest wait for an answer {max(waits):.1f} s, median {statistics.median(waits):.2f} s.")  # fmt: skip


def probe(port: int) -> float:
    """GET /healthz on a new connection; return the seconds until the answer."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    return time.perf_counter() - began


def uploads(port: int, photo: bytes, form: str, end: float) -> Counter[int]:
    """Send a photo again and again until `end`; return how often each status came."""
    statuses = Counter[int]()
    with suppress(OSError, http.client.HTTPException):  # the server is killed at the end
        while time.perf_counter() < end:
            statuses[Client(port).ask(photo, f"?format={form}")[0]] += 1
    return statuses


def probes(count: int) -> None:
    """GET /healthz ten times a second while the line is full of photos of 100 megapixels, beside a server of asyncio's.

    That one does nothing else, in a process of its own: what it takes is the machine's. Clients that upload are
    processes, too: 400 MB that one of them frees would stop whoever probes in the same process.
    """
    file = BytesIO()
    Image.new("RGB", (10_000, 10_000), (90, 120, 60)).save(file, "JPEG", quality=50)
    photo, waits = file.getvalue(), {"`hqmd serve`": list[float](), "asyncio alone": list[float]()}
    bare = subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, text=True)
    with TemporaryDirectory() as folder:
        Path(folder, "tiny.py").write_text(TINY)
        tiny = ("--model", "py:tiny:predict", "--model-kind", "depth")
        with server(*tiny, folder=Path(folder)) as served, ProcessPoolExecutor(9) as pool:
            ports = (served.port, int(bare.stdout.readline()))
            end = time.perf_counter() + count
            forms = [("mm", "npy", "glb", "json", "view")[number % 5] for number in range(9)]  # a full line
            clients = [pool.submit(uploads, served.port, photo, form, end) for form in forms]
            time.sleep(1)
            while time.perf_counter() < end:
                for seconds, port in zip(waits.values(), ports, strict=True):
                    seconds.append(probe(port))
                time.sleep(0.1)
            served.process.kill()  # with those that wait
            busy = sum((client.result() for client in clients), Counter[int]())
    bare.kill()
    print(f"\n{dict(busy)} answers to photos of 100 megapixels in {count} s, and of probes meanwhile:\n")
    print("| probes | n | median [ms] | p95 [ms] | p99 [ms] | longest [ms] | above 100 ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, seconds in waits.items():
        parts = (statistics.median(seconds), percentile(seconds, 0.95), percentile(seconds, 0.99), max(seconds))
        shown = " | ".join(f"{1000 * part:.0f}" for part in parts)
        print(f"| {name} | {len(seconds)} | {shown} | {sum(one > 0.1 for one in seconds)} |")


def shapes(count: int) -> None:
    """Photos of 60 shapes: does the memory of ONNX Runtime grow with each?"""
    sizes = [(480 + 16 * (number % 12), 480 + 48 * (number // 12)) for number in range(60)]
    sizes.sort(key=lambda size: -size[0] * size[1])  # the largest first
    photos = [jpeg(*size) for size in sizes]
    with server("--model", MODEL) as served:
        client = Client(served.port)
        seen = []
        for number in range(count):
            assert client.ask(photos[number % len(photos)])[0] == 200
            if number % 60 == 59:
                seen.append(served.mb)
    print("\n| photos | " + " | ".join(str(60 * number) for number in range(1, len(seen) + 1)) + " |")
    print("| --- | " + "--- | " * len(seen))
    print("| MB | " + " | ".join(f"{mb:.0f}" for mb in seen) + " |")


def memory(count: int) -> None:
    """Many requests to a model that computes nothing: the memory of the server itself."""
    photo, form = jpeg(240, 320), "?format=npy"
    with TemporaryDirectory() as folder:
        Path(folder, "tiny.py").write_text(TINY)
        with server("--model", "py:tiny:predict", "--model-kind", "depth", folder=Path(folder)) as served:
            clients = [Client(served.port) for _ in range(8)]
            seen = {}

            def ask(client: Client) -> None:
                for number in range(count // 80):
                    assert client.ask(photo, ("", form)[number % 2])[0] == 200

            with ThreadPoolExecutor(8) as pool:
                for part in range(1, 11):
                    list(pool.map(ask, clients))
                    seen[part * (count // 80) * 8] = served.mb
                    print(part * (count // 80) * 8, f"{served.mb:.0f} MB", file=sys.stderr, flush=True)
    print("\n| requests | " + " | ".join(str(done) for done in seen) + " |")
    print("| --- | " + "--- | " * len(seen))
    print("| MB | " + " | ".join(f"{mb:.0f}" for mb in seen.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {part.__name__: part for part in (latency, throughput, probes, shapes, memory)}
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument(
        "--requests",
        type=int,
        default=0,
        help="of latency, shapes and memory, or of each round of throughput; seconds of probes",
    )
    args = parser.parse_args()
    usual = {"latency": 30, "throughput": 128, "probes": 60, "shapes": 300, "memory": 10_000}
    for name in args.parts:
        parts[name](args.requests or usual.get(name, 0))
    print(f"\n{os.cpu_count()} cores, load average {json.dumps(os.getloadavg())}")


if __name__ == "__main__":
    main()
