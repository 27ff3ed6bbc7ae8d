"""POST /v1/depth: the same numbers as `hqmd predict`, in each kind of answer; and what is no photo."""

import base64
import json
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from hqmd_cli.files.depth_files import MILLIMETRES_PER_METRE, encode_npy
from hqmd_cli.files.png import chunk
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.serving.wishes import MEDIA_TYPES
from served import FORM, client, form_of, picture_bytes, slope, sure_model, tiny_model

PHOTO = picture_bytes()
DEPTH_M = slope(np.empty((24, 40)))


def millimetres(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as picture:
        return np.asarray(picture)


def problem(response) -> str:
    told = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert told["status"] == response.status_code and told["title"]
    return told["detail"]


def test_raw_bytes_and_a_form_give_millimetres() -> None:
    with client() as asked:
        raw = asked.post("/v1/depth", content=PHOTO)
        form = asked.post("/v1/depth", content=form_of(PHOTO), headers=FORM)
    assert raw.status_code == form.status_code == 200 and raw.content == form.content
    assert raw.headers["content-type"] == "image/png"
    assert (millimetres(raw.content) == np.round(DEPTH_M * MILLIMETRES_PER_METRE)).all()


@pytest.mark.parametrize("kind", sorted(set(OUTPUTS) & set(MEDIA_TYPES)))
def test_each_answer_is_the_file_that_predict_writes(kind: str, tmp_path: Path, hqmd, monkeypatch) -> None:
    """Byte for byte, but for what a compressed archive says of the time."""
    photo = tmp_path / "photo.png"
    photo.write_bytes(PHOTO)
    monkeypatch.setattr("hqmd_cli.commands.predict.DEFAULT_MODEL", "hqmd-indoor-small")
    suffix = OUTPUTS[kind].suffix
    monkeypatch.setattr("hqmd_cli.inference.open.open_model", lambda name, options: sure_model())
    done = hqmd("predict", photo, "-o", tmp_path / f"depth{suffix}", "--model", "hqmd-indoor-small")
    assert done.returncode == 0, done.stderr
    with client(sure_model()) as asked:
        answer = asked.post("/v1/depth", params={"format": kind}, content=PHOTO)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(MEDIA_TYPES[kind])
    written = (tmp_path / f"depth{suffix}").read_bytes()
    if kind == "npz":
        with np.load(BytesIO(answer.content)) as sent, np.load(BytesIO(written)) as kept:
            assert all((sent[name] == kept[name]).all() for name in ("depth_m", "intrinsics"))
    else:
        assert answer.content == written


def test_the_record_says_what_predict_says() -> None:
    with client(sure_model()) as asked:
        said = asked.post("/v1/depth", params={"fov": 60}, content=PHOTO, headers={"Accept": "application/json"}).json()
    assert said["unit"] == "metre" and said["size"] == [24, 40] and said["near_m"] < said["far_m"]
    assert said["scale_uncertainty"] == pytest.approx(0.1) and said["settings"]["model"] == "sure"
    assert "60 degrees" in said["intrinsics"]["origin"]


def test_headers_describe_the_answer() -> None:
    with client(sure_model()) as asked:
        headers = asked.post("/v1/depth", content=PHOTO, params={"fx": 44.0}).headers
    assert headers["hqmd-model"] == "sure" and headers["hqmd-unit"] == "metre" and headers["hqmd-size"] == "40x24"
    assert float(headers["hqmd-near"]) < float(headers["hqmd-far"])
    assert float(headers["hqmd-scale-uncertainty"]) == 0.1
    assert headers["hqmd-camera"].startswith("fx=44, fy=44")
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


def test_a_measured_distance_and_the_focal_length_scale_the_metres() -> None:
    with client() as asked:
        plain = np.load(BytesIO(asked.post("/v1/depth?format=npy", content=PHOTO).content))
        longer = np.load(BytesIO(asked.post("/v1/depth?format=npy&fx=51.886", content=PHOTO).content))
        scaled = np.load(BytesIO(asked.post("/v1/depth?format=npy&scale_from=0,0,4", content=PHOTO).content))
    assert longer == pytest.approx(plain * 2, rel=1e-3)
    assert scaled == pytest.approx(plain * scaled[0, 0] / plain[0, 0], rel=1e-5) and 2 < scaled[0, 0] < 4


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "image/png"),
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("application/x-npy", "application/x-npy"),
        ("model/gltf-binary;q=0.5, application/json;q=0.9", "application/json"),
        ("application/json;q=0.2, */*;q=0.1", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "image/png"),
        ("image/png;q=0, */*", "application/x-npy"),
        ("image/png;q=high", "image/png"),
    ],
)
def test_accept(accept: str | None, media: str) -> None:
    with client() as asked:
        asked.headers.pop("accept")
        answer = asked.post("/v1/depth", content=PHOTO, headers={} if accept is None else {"Accept": accept})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(media)


def test_nothing_that_is_accepted() -> None:
    with client() as asked:
        answer = asked.post("/v1/depth", content=PHOTO, headers={"Accept": "text/html"})
    assert answer.status_code == 406 and "image/png" in problem(answer)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("path=/etc/passwd", "path: no such parameter; there are model, side"),
        ("url=http://10.0.0.1/", "url: no such parameter"),
        ("format=exe", "format=exe: no such answer; there are mm"),
        ("model=../../etc", "model=../../etc: not served here; there are tiny"),
        ("fov=wide", "fov=wide: not a number"),
        ("fov=nan", "fov nan: a field of view"),
        ("fx=-1", "fx -1: a focal length"),
        ("fx=500&fov=60", "fx, fov and camera all set"),
        ("fx=1&fx=2", "fx: given twice"),
        ("side=9", "side=9: '9': sides are whole numbers"),
        ("side=2000", "side 2000: a network sees"),
        ("side=224", "side and size: tiny chooses its own"),
        ("size=fast", "side and size: tiny chooses its own"),
        ("scale_from=1,2", "scale_from 1,2: must be X,Y,METRES"),
        ("scale_from=99,0,1", "lies outside the photo"),
        ("format=uncertainty", "does not know how sure it is"),
        ("%1b[2Jx=1", "\\x1b[2Jx: no such parameter"),
    ],
)
def test_what_a_query_cannot_ask(query: str, words: str) -> None:
    with client() as asked:
        answer = asked.post(f"/v1/depth?{query}", content=PHOTO)
    assert answer.status_code == 422 and words in problem(answer) and "--" not in problem(answer)


def test_a_model_without_metres_gives_no_millimetres() -> None:
    with client(tiny_model(kind="disparity")) as asked:
        assert "needs metres" in problem(asked.post("/v1/depth", content=PHOTO))
        assert asked.post("/v1/depth?format=npy", content=PHOTO).headers["hqmd-unit"] == "disparity"


def bomb(pixels: int) -> bytes:
    """A PNG of a few kB whose header says so many pixels a side, with rows of zeros as far as they go."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"<!DOCTYPE html><script>alert(1)</script>", 415, "not a picture that can be read"),
        (SVG, 415, "SVG, which hqmd does not read"),
        (b"%!PS-Adobe-3.0\n/showpage", 415, "PostScript"),
        (b"%PDF-1.7\n", 415, "PDF"),
        (b"\0\0\0\x18ftypisom" + bytes(99), 415, "a video (MP4); send one picture"),
        (b"GIF89a", 415, ""),
        (PHOTO[:300], 422, "cannot be read"),
        (bomb(12_000), 413, "12000 x 12000 pixels; scale it to at most 100 megapixels"),
        (bomb(60_000), 413, "megapixels"),
        (b'{"url": "http://169.254.169.254/"}', 415, "not a picture"),
    ],
)
def test_what_is_no_photo(content: bytes, status: int, words: str) -> None:
    with client() as asked:
        for label in ("image/jpeg", "application/octet-stream", "text/html"):
            answer = asked.post("/v1/depth", content=content, headers={"Content-Type": label})
            assert (answer.status_code, words in problem(answer)) == (status, True), answer.text


@pytest.mark.parametrize("label", ["image/jpeg", "image/heic", "application/octet-stream"])
def test_heic_by_any_name_is_told(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqmd_cli.files.kinds.find_spec", lambda name: None)
    with client() as asked:
        answer = asked.post(
            "/v1/depth", content=form_of(HEIC, "IMG_1.jpg").replace(b"image/jpeg", label.encode()), headers=FORM
        )
        told = problem(answer)
    assert answer.status_code == 415 and "HEIC" in told and "pip install" in told and "JPEG" in told


@pytest.mark.parametrize("orientation", range(1, 9))
def test_depth_is_of_the_upright_photo(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = picture_bytes(24, 40, "JPEG", exif=exif)
    with client() as asked:
        answer = asked.post("/v1/depth", content=content)
    assert millimetres(answer.content).shape == ((24, 40) if orientation < 5 else (40, 24))


def test_a_glb_can_be_opened() -> None:
    with client() as asked:
        content = asked.post("/v1/depth", content=PHOTO, headers={"Accept": "model/gltf-binary"}).content
    assert len(trimesh.load(BytesIO(content), file_type="glb", force="mesh").faces)


def test_curl_d_is_told_what_to_do() -> None:
    mangled = PHOTO.translate(None, b"\0\n\r")
    url_form = {"Content-Type": "application/x-www-form-urlencoded"}
    with client() as asked:
        answer = asked.post("/v1/depth", content=mangled, headers=url_form)
        whole = asked.post("/v1/depth", content=PHOTO, headers=url_form)  # curl --data-binary sends this type, too
    assert answer.status_code == 415 and "--data-binary" in problem(answer)
    assert whole.status_code == 200


@pytest.mark.parametrize(
    ("name", "plain", "exact"),
    [
        ("寝室 \u2019📷.jpg", "_____.mm.png", "%E5%AF%9D%E5%AE%A4%20%E2%80%99%F0%9F%93%B7.mm.png"),
        ("<script>alert(1)</script>.jpg", "script_.mm.png", "script%3E.mm.png"),
        ("../../etc/passwd.png", "passwd.mm.png", "passwd.mm.png"),
        ("..\\\\..\\\\boot.ini", "boot.mm.png", "boot.mm.png"),
        ("", "depth.mm.png", "depth.mm.png"),
    ],
)
def test_the_answer_is_called_after_the_photo(name: str, plain: str, exact: str) -> None:
    with client() as asked:
        answer = asked.post("/v1/depth", content=form_of(PHOTO, name), headers=FORM)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"
    assert all(value.isascii() for key, value in answer.headers.items() if key.startswith("hqmd-"))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "ends too early"),
        (b"nonsense", 400, "cannot be read"),
        (form_of(PHOTO)[:-12], 400, "ends too early"),
        (form_of(b""), 400, "has no bytes"),
        (form_of(PHOTO).replace(b'; filename="photo.jpg"', b""), 422, "options go into the query"),
        (form_of(PHOTO)[:-11] + b"\r\n" + form_of(PHOTO), 422, "several files"),
        (b"--BOUND--\r\n", 422, "no photo in the form"),
        (form_of(PHOTO, "x" * 5000), 400, "cannot be read"),
        (b"--BOUND\r\n" + b"A" * 100_000, 400, "cannot be read"),
        (b"--BOUND\r\nContent-Disposition: form-data\xff\xfe; name\r\n\r\nx\r\n--BOUND--", 422, ""),
    ],
)
def test_forms_that_hold_no_single_photo(body: bytes, status: int, words: str) -> None:
    with client() as asked:
        answer = asked.post("/v1/depth", content=body, headers=FORM)
    assert (answer.status_code, words in problem(answer)) == (status, True), answer.text


def test_other_bodies_that_are_refused() -> None:
    with client() as asked:
        assert "--data-binary" in problem(asked.post("/v1/depth"))
        packed = asked.post("/v1/depth", content=PHOTO, headers={"Content-Encoding": "gzip"})
        no_boundary = asked.post("/v1/depth", content=PHOTO, headers={"Content-Type": "multipart/form-data"})
    assert packed.status_code == 415 and no_boundary.status_code == 400


def test_openapi_and_the_list_of_models() -> None:
    with client(tiny_model(), sure_model()) as asked:
        document = asked.get("/openapi.json").json()
        models = asked.get("/v1/models").json()["models"]
        routes = {route.path for route in asked.app.routed.routes}
    assert [model["name"] for model in models] == ["tiny", "sure"] and models[1]["knows_uncertainty"]
    assert set(document["paths"]) == routes - set(asked.app.files)
    post = document["paths"]["/v1/depth"]["post"]
    (format_parameter,) = [each for each in post["parameters"] if each["name"] == "format"]
    assert set(OUTPUTS) <= set(format_parameter["schema"]["enum"])
    assert {"400", "401", "403", "413", "415", "422", "429", "503"} <= set(post["responses"])
    with client() as asked:
        headers = asked.post("/v1/depth", content=PHOTO).headers
    assert {name for name in headers if name.startswith("hqmd-")} <= {
        name.lower() for name in post["responses"]["200"]["headers"]
    }
    json.dumps(document)


def test_what_a_camera_wrote_into_its_photo_goes_no_further() -> None:
    """But the focal length counts."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0131] = "SECRETCAM", "SECRETSOFT"  # Make, Software
    exif.get_ifd(0x8769).update({0xA405: 40, 0xA002: 40, 0xA003: 24})  # FocalLengthIn35mmFilm, of this size
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = "SECRETPLACE"  # GPSDateStamp
    photo = picture_bytes(24, 40, "JPEG", exif=exif)
    assert photo.count(b"SECRET") == 3
    with client() as asked:
        for kind in (*MEDIA_TYPES, "look"):
            if "uncertainty" not in kind:
                answer = asked.post(
                    "/v1/depth", params={"format": kind}, content=form_of(photo, "IMG.jpg"), headers=FORM
                )
                content = answer.content
                if kind == "view":
                    content += b"".join(base64.b64decode(answer.json()[part]) for part in ("photo", "depth"))
                assert answer.status_code == 200 and b"SECRET" not in content, kind
                assert "40 mm" in answer.headers["hqmd-camera-origin"]


def test_a_page_is_sent_as_a_file_and_never_as_a_page() -> None:
    with client() as asked:
        answer = asked.post("/v1/depth?format=look", content=PHOTO)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment") and b"<html" in answer.content


def test_npy_is_what_numpy_writes() -> None:
    for values in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3, 4, dtype=np.float32)), np.zeros((0, 3))):
        file = BytesIO()
        np.save(file, np.ascontiguousarray(values, np.float32))
        assert bytes(encode_npy(values)) == file.getvalue()
