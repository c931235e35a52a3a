"""Who may come in, from where, and what every answer carries."""

from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.serve.http.gate import digest, read_keys
from kolossos.serve.http.run import Settings, Started, serve

KEYS = ["kolossos-test-key-one", "kolossos-test-key-two"]
PATHS = [
    "/v1/models",
    "/v1/kolossos/status",
    "/metrics",
    "/health",
    "/health/ready",
    "/tokenizer_info",
    "/openapi.json",
    "/x",
]
POSTS = ["/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/tokenize", "/detokenize"]


def test_every_route_but_the_page_and_its_files_needs_one_of_the_keys(start, tmp_path: Path) -> None:
    for name in ("index.html", "page.js", "page.css"):
        (tmp_path / name).write_text("page")
    server = start(keys=frozenset(digest(key) for key in KEYS), page=tmp_path)
    with server.client() as client:
        for path in ("/", "/page.js", "/page.css", "/health/live"):
            assert client.get(path).status_code == 200
        for shown in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEYS[0]}"}):
            answers = [client.get(path, headers=shown) for path in PATHS]
            answers += [client.post(path, headers=shown, json={"model": "tiny"}) for path in POSTS]
            assert {answer.status_code for answer in answers} == {401}
            assert {answer.json()["error"]["code"] for answer in answers} == {"invalid_api_key"}
            assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
        for key in KEYS:
            assert client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
            assert client.get("/x", headers={"Authorization": f"Bearer {key}"}).status_code == 404


def test_keys_come_from_a_file_and_the_environment_and_are_kept_as_hashes(tmp_path, monkeypatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEYS[0]}\n\n  {KEYS[1]}  \n")
    assert read_keys(None) == frozenset()
    assert read_keys(file) == {digest(key) for key in KEYS}
    monkeypatch.setenv("KOLOSSOS_API_KEYS", "another-key-of-sixteen, and-another-key-of-16")
    assert len(read_keys(file)) == 4
    assert not any(key.encode() in kept for key in KEYS for kept in read_keys(file))
    file.write_text("short\n")
    with pytest.raises(InputError, match="shorter than 16"):
        read_keys(file)
    file.write_text("# none\n")
    with pytest.raises(InputError, match="no key in it"):
        read_keys(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "missing")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_without_a_key_nothing_beyond_this_machine_is_served(host, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("KOLOSSOS_API_KEYS", raising=False)
    heard: list[Started] = []
    with pytest.raises(InputError, match="needs a file of keys"):
        serve(tmp_path, Settings(host=host, port=0), heard.append)
    assert heard == []


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"queue": 0}, {"drain_s": -1.0}, {"largest_body": 5}, {"origins": ("*",)}]
)
def test_settings_out_of_range_are_refused_by_name(wrong) -> None:
    with pytest.raises(InputError, match=r"out of range|expected an origin"):
        Settings(**wrong)


def test_on_this_machine_only_its_own_names_are_a_host(start) -> None:
    """Else a page elsewhere could have its own name point here, and ask as if it were ours."""
    server = start()
    with server.client() as client:
        for host in (
            "localhost",
            "localhost:8000",
            "127.0.0.1",
            f"127.0.0.1:{server.port}",
            "[::1]",
            "[::1]:80",
            "127.0.0.2:8000",
        ):
            assert client.get("/v1/models", headers={"Host": host}).status_code == 200, host
        for host in (
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "::1",
            "localhost:x",
        ):
            answer = client.get("/v1/models", headers={"Host": host})
            assert answer.status_code == 403, host
            assert answer.json()["error"]["code"] == "wrong_host"
    with start(loopback=False).client() as client:
        assert client.get("/v1/models", headers={"Host": "models.example.org"}).status_code == 200


def test_only_listed_origins_are_told_that_they_may_read(start) -> None:
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    asking |= {"Access-Control-Request-Headers": "authorization,content-type"}
    closed = start()
    with closed.client() as client:
        assert client.options("/v1/chat/completions", headers=asking).status_code == 405
        answer = client.get("/v1/models", headers={"Origin": "https://a.example"})
        assert "access-control-allow-origin" not in answer.headers
    opened = start(origins=("https://a.example",), keys=frozenset([digest(KEYS[0])]))
    with opened.client() as client:
        before = client.options("/v1/chat/completions", headers=asking)
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == "https://a.example"
        refused = client.get("/v1/models", headers={"Origin": "https://a.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        other = client.options("/v1/chat/completions", headers={**asking, "Origin": "https://b.example"})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


def test_every_answer_has_a_number_and_headers_that_keep_other_sites_out(start) -> None:
    server = start()
    with server.client() as client:
        answers = [
            client.get("/", headers={"X-Request-ID": "mine-1"}),
            client.get("/nothing", headers={"X-Request-ID": "mine-1"}),
            client.get("/", headers={"X-Request-ID": "mine-1", "Host": "evil.example"}),
            server.post("/v1/completions", prompt="x"),
            server.post("/v1/completions", prompt="x", stream=True),
            server.post("/v1/completions", prompt=5),
        ]
    assert [answer.headers["x-request-id"] for answer in answers[:3]] == ["mine-1"] * 3
    assert len({answer.headers["x-request-id"] for answer in answers[3:]}) == 3
    for answer in answers:
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    with server.client() as client:
        long = client.get("/health", headers={"X-Request-ID": "x" * 200})
        assert long.headers["x-request-id"] != "x" * 200


def test_files_beside_the_page_are_not_served(start, tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<p>page")
    (tmp_path / "page" / "notes.py").write_text("secret")
    (tmp_path / "secret.js").write_text("secret")
    with start(page=tmp_path / "page").client() as client:
        assert client.get("/").text == "<p>page"
        assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
        for path in ("/notes.py", "/../secret.js", "/%2e%2e/secret.js", "/index.html"):
            assert client.get(path).status_code == 404


def test_metrics_are_those_of_the_engine_and_the_door(start) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    server = start()
    server.chat(max_tokens=5, n=2)
    server.chat(temperature=3)
    with server.client() as client:
        text = client.get("/metrics").text
        client.get("/no/such/path")
        status = client.get("/v1/kolossos/status").json()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples[("kolossos_alive",)] == 1
    assert samples[("kolossos_new_tokens_total",)] == 10
    assert samples[("kolossos_first_token_seconds_count",)] == 2
    assert samples[("kolossos_answers_total", "length")] == 2
    assert samples[("kolossos_http_request_seconds_count", "/v1/chat/completions", "200")] == 1
    assert samples[("kolossos_http_request_seconds_count", "/v1/chat/completions", "400")] == 1
    assert (status["model"], status["trained_on_chats"], status["context"]) == ("tiny", True, 256)
    assert status["engine"]["new_tokens"] == 10
    assert status["uptime_s"] > 0
