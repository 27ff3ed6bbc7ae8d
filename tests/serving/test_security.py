"""Who gets an answer: Host, Origin, token; and what browsers may do with it."""

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.serving.settings import ServerSettings
from served import TOKEN, client, picture_bytes, tiny_model

PHOTO = picture_bytes()
OWN = "http://localhost:8350"


def post(asked, **headers: str):
    """A photo, with these headers."""
    return asked.post(
        "/v1/depth", content=PHOTO, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8350",
        "localhost:9000",
        "127.0.0.1:8350",
        "[::1]:8350",
        "[::1]",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_own_names_on_any_port(host: str) -> None:
    with client() as asked:
        assert post(asked, Host=host).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),  # a name that its owner has rebound to 127.0.0.1
        ("evil.example:8350", 403),
        ("localhost.evil.example", 403),
        ("10.1.2.3:8350", 403),
        ("127.0.0.1.nip.io", 403),
        ("[::ffff:127.0.0.1]:8350", 403),
        ("", 400),
        ("localhost:many", 400),
        ("user@localhost", 400),
        ("localhost/path", 400),
        ("[::1", 400),
    ],
)
def test_other_hosts_are_refused(host: str, status: int) -> None:
    with client() as asked:
        answer = post(asked, Host=host)
        assert answer.status_code == status
        assert status == 400 or "start it with --allow-host" in answer.json()["detail"]
        assert asked.get("/", headers={"Host": host}).status_code == status
        assert asked.get("/metrics", headers={"Host": host}).status_code == status


def test_probes_answer_any_host_without_a_token() -> None:
    with client(base_url="http://10.1.2.3:8350", token=TOKEN) as asked:
        for probe in ("/healthz", "/readyz"):
            answer = asked.get(probe)
            assert (answer.status_code, answer.text) == (200, "ok\n")
        assert asked.get("/v1/models").status_code == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8350", "http://localhost:8350"),
        ("localhost:9000", "http://localhost:9000"),  # an SSH tunnel, or a container's port
        ("localhost:8350", "https://localhost:8350"),
        ("depth.example.org", "https://depth.example.org"),  # a proxy does the TLS
        ("127.0.0.1:8350", "https://depth.example.org"),  # and names the server by its address
        ("[::1]:8350", "http://[::1]:8350"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_own_origins(host: str, origin: str) -> None:
    with client(names=("depth.example.org",)) as asked:
        assert post(asked, Host=host, Origin=origin, Sec_Fetch_Site="same-origin").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://localhost:3000",
        "https://localhost.evil.example",
        "file://",
        "http://",
        "x",
    ],
)
def test_foreign_origins_are_refused(origin: str) -> None:
    with client() as asked:
        answer = post(asked, Origin=origin)
        assert answer.status_code == 403 and answer.headers["content-type"] == "application/problem+json"
        assert "access-control-allow-origin" not in answer.headers
        assert asked.options("/v1/depth", headers={"Origin": origin}).status_code in (403, 405)


def test_the_refusal_of_an_origin_names_the_option() -> None:
    with client() as asked:
        assert "--allow-host depth.example.org" in post(asked, Origin="https://depth.example.org").json()["detail"]


def test_another_site_may_link_to_the_page_but_not_ask() -> None:
    with client() as asked:
        linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert asked.get("/", headers=linked).status_code == 200
        assert asked.get("/v1/models", headers=linked).status_code == 403
        assert post(asked, Sec_Fetch_Site="cross-site").status_code == 403
        assert asked.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status_code == 403


def test_no_cookies_and_no_cross_origin_headers() -> None:
    with client(token=TOKEN) as asked:
        for path in ("/", "/v1/models", "/healthz", "/nothing"):
            answer = asked.get(path, headers={"Origin": OWN, "Authorization": f"Bearer {TOKEN}"})
            assert not [name for name in answer.headers if "cookie" in name or name.startswith("access-control")]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (None, 401),
        ("", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer \xff\xfe", 401),
    ],
)
def test_tokens(given: str | None, status: int) -> None:
    with client(token=TOKEN) as asked:
        headers = {} if given is None else {"Authorization": given.encode("latin-1")}
        for path in ("/v1/models", "/metrics", "/openapi.json"):
            answer = asked.get(path, headers=headers)
            assert answer.status_code == status
            assert status == 200 or answer.headers["www-authenticate"].startswith("Bearer")
        assert asked.get("/v1/models", params={"token": TOKEN}).status_code == 401  # where logs would keep it
        assert asked.get("/").status_code == 200  # the page itself holds nothing


def test_a_server_for_others_needs_a_token_and_answers_to_its_address() -> None:
    for host in ("0.0.0.0", "::", "10.1.2.3", "depth.example.org"):
        with pytest.raises(HqmdError, match="needs --token"):
            ServerSettings(host=host)
    settings = ServerSettings(host="0.0.0.0", token=TOKEN)
    assert settings.own_names >= {"localhost", "127.0.0.1", "::1"} and "0.0.0.0" not in settings.own_names
    with client(host="10.1.2.3", token=TOKEN, base_url="http://10.1.2.3:8350") as asked:
        assert asked.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"token": "a token with spaces in it"},
        {"names": ("https://example.org/",)},
        {"names": ("a b",)},
        {"cert": "here.pem"},
    ],
)
def test_settings_that_are_refused(wrong: dict) -> None:
    with pytest.raises(HqmdError, match="--"):
        ServerSettings(**wrong)


def test_policy_of_every_answer() -> None:
    with client() as asked:
        answers = [
            asked.get("/"),
            asked.get("/nothing"),
            post(asked),
            post(asked, Host="evil.example"),
            asked.get("/healthz"),
        ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/../settings.py",
        "/..%2f..%2fsettings.py",
        "/%2e%2e/serve.py",
        "//etc/passwd",
        "/viewer.js/x",
        "/C:\\boot.ini",
        "/.git",
    ],
)
def test_no_path_leads_out_of_the_page(path: str) -> None:
    with client() as asked:
        answer = asked.get(path)
        assert answer.status_code == 404 and "settings" not in answer.text.replace("openapi", "")
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_length_that_two_headers_tell() -> None:
    """A proxy may believe the other one, and take the end of the photo for the next request."""
    with client() as asked:
        answer = post(asked, Transfer_Encoding="chunked", Content_Length="9")
        assert answer.status_code == 400 and answer.headers["connection"] == "close"


def test_methods() -> None:
    with client() as asked:
        for method, path in (("GET", "/v1/depth"), ("DELETE", "/"), ("PUT", "/v1/models"), ("OPTIONS", "/v1/depth")):
            answer = asked.request(method, path)
            assert answer.status_code == 405 and answer.headers["content-type"] == "application/problem+json"


def test_a_fault_is_a_problem_and_is_printed_where_the_server_runs(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(rgb):
        raise ZeroDivisionError("the photo's secret")

    with client(tiny_model(predict=broken)) as asked:
        answer = post(asked)
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_log_holds_nothing_that_clients_sent() -> None:
    lines: list[str] = []
    with client() as asked:
        asked.app.log = lines.append
        asked.get("/%1b[2Jsecret")
        asked.post("/v1/depth?format=secret%1b", content=PHOTO)
        asked.get("/healthz")
    assert [line.split(" ")[:2] for line in lines] == [["other", "404"], ["/v1/depth", "422"]]


def test_metrics_do_not_grow_with_what_is_asked() -> None:
    with client() as asked:
        before = len(asked.get("/metrics").text.splitlines())
        for number in range(50):
            asked.get(f"/unknown/{number}", headers={"User-Agent": f"x{number}"})
        post(asked)
        text = asked.get("/metrics").text
    assert len(text.splitlines()) <= before + 3  # other, /v1/depth and /metrics itself
    assert 'hqmd_requests_total{route="other",status="404"} 50' in text
    assert 'hqmd_depth_seconds_bucket{le="+Inf"} 1' in text and "hqmd_photos_waiting 0" in text
    for line in text.splitlines():
        assert line.startswith("# ") or (len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0)


def test_browsers_ask_whether_a_script_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    with client() as asked:
        first = asked.get("/")
        assert first.headers["cache-control"] == "no-cache"
        again = asked.get("/", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and not again.content
        file = asked.app.files["/"]
        assert file.tag == first.headers["etag"]
    from hqmd_cli.serving import page

    read = page.Path.read_bytes
    monkeypatch.setattr(page.Path, "read_bytes", lambda path: read(path) + b"<!-- newer -->")
    with client() as asked:
        newer = asked.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert newer.status_code == 200 and newer.content != first.content
