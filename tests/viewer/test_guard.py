"""Who is let in, and what every answer carries."""

import socket

import httpx
import pytest

from psmnet.viewer.guard import HEADERS
from psmnet.viewer.server import Address


def bare(room, path, **headers):
    """A request without the client's own headers."""
    return httpx.get(str(room.client.base_url).removesuffix("/api/") + path, headers=headers)


@pytest.mark.parametrize(
    "token", [None, "", "Bearer", "Bearer wrong", "Basic YTpi", "bearer a-token-for-tests", "Bearer \x80"]
)
def test_the_api_wants_the_token(room, token):
    answer = bare(room, "/api/health", **({} if token is None else {"Authorization": token.encode("latin-1")}))
    assert answer.status_code == 401
    assert "token is missing or wrong" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/scans", "/api/nothing", "/api", "/api/events"])
def test_all_of_the_api_wants_it(room, path):
    assert bare(room, path).status_code == 401


@pytest.mark.parametrize("path", ["/", "/static/look.css", "/static/index.html"])
def test_the_page_alone_is_free(room, path):
    assert bare(room, path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/docs", "/redoc"],
)
def test_nothing_else_is(room, path):
    assert bare(room, path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""])
def test_another_host_is_refused_as_dns_rebinding_would_send_it(room, host):
    for path in ("/", "/api/health"):
        assert bare(room, path, Host=host).status_code in (400, 403)


def test_localhost_is_this_host_too(room):
    port = room.client.base_url.port
    assert bare(room, "/", Host=f"localhost:{port}").status_code == 200
    assert bare(room, "/", Host=f"LOCALHOST:{port}").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:1"])
def test_another_origin_is_refused_even_with_the_token(room, origin):
    answer = room.client.post("/samples", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "another site" in answer.json()["detail"]


def test_the_own_origin_is_let_in(room):
    port = room.client.base_url.port
    assert room.client.get("/health", headers={"Origin": f"http://127.0.0.1:{port}"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/health", "/nothing"])
def test_every_answer_carries_the_policy(room, path):
    headers = bare(room, path).headers
    assert HEADERS.items() <= {name: headers.get(name) for name in HEADERS}.items()
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["cache-control"] == ("no-store" if path.startswith("/api") else "no-cache")


def test_a_request_of_two_lengths_is_refused(room):
    """A proxy that goes by the other length would take the rest for a second request."""
    port = room.client.base_url.port
    token = room.client.headers["authorization"]
    head = (
        f"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {token}\r\n"
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))  # to its end: the connection is closed
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Length and Transfer-Encoding" in answer


def test_a_proxys_name_is_taken_without_the_port_it_does_not_know():
    hosts = Address(names=("seg.example.org", "other.example.org:8443")).hosts(8765)
    assert {"127.0.0.1:8765", "localhost:8765", "seg.example.org", "other.example.org:8443"} <= set(hosts)
    assert "127.0.0.1" not in hosts
    assert "127.0.0.1" in Address().hosts(80)  # which browsers leave out


def test_connections_that_ask_for_nothing_are_closed(room, monkeypatch):
    monkeypatch.setattr("psmnet.viewer.connections.FIRST_REQUEST_S", 0.2)
    with socket.create_connection(("127.0.0.1", room.client.base_url.port)) as idle:
        idle.settimeout(10)
        idle.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert idle.recv(1) == b""
