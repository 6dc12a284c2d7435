"""A real server on this machine: batches, retries, and answers that are none."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from safelab.contracts import Reading, given, reading_of
from safelab.errors import ConfigError, RunFailed
from safelab.plugins import build_option
from support.models import context

CONF = Path(__file__).parents[3] / "conf" / "reward" / "remote.yaml"
Answer = Callable[[dict[str, Any], int], tuple[int, bytes]]


class Server:
    """Answers by ``answer(request, number)``; keeps every request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.answer: Answer = lambda request, number: ok([float(len(text)) for text in request["responses"]])
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                outer.tokens.append(self.headers.get("Authorization"))
                status, body = outer.answer(request, len(outer.requests))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/score"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def ok(rewards: list[float]) -> tuple[int, bytes]:
    return 200, json.dumps({"rewards": rewards}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def reward(url: str, **changes: Any) -> Any:
    options = {**yaml.safe_load(CONF.read_text()), "url": url, "pause_s": 0.01, "timeout_s": 2.0, **changes}
    return build_option("reward", options, context())


def test_columns_that_are_asked_for_are_sent_along(server: Server) -> None:
    made = reward(server.url, batch_size=2, columns=["answer"])
    assert reading_of(made) == Reading(must=frozenset({"answer"}))
    columns = {"answer": [1, None, {"x": 2}], "label": ["a", "b", "c"]}
    made.score(["p", "q", "r"], ["a", "bb", "ccc"], [True] * 3, **given(made, columns))
    assert [request["columns"] for request in server.requests] == [
        {"answer": []}, {"answer": [1, None]}, {"answer": [{"x": 2}]},
    ]  # fmt: skip


def test_rewards_come_back_in_order_batch_by_batch(server: Server) -> None:
    found = reward(server.url, batch_size=2).score(["p", "q", "r"], ["a", "bb", "ccc"], [True, False, True])
    assert found == [1.0, 2.0, 3.0]
    assert server.requests[1:] == [
        {"prompts": ["p", "q"], "responses": ["a", "bb"], "ended": [True, False]},
        {"prompts": ["r"], "responses": ["ccc"], "ended": [True]},
    ]


def test_what_may_pass_is_tried_again(server: Server) -> None:
    plain = server.answer
    scorer = reward(server.url)
    server.answer = lambda request, number: plain(request, number) if number >= 4 else (503, b"busy")
    assert scorer.score(["p"], ["aa"], [True]) == [2.0]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b"", "refused: status 404"),
        (503, b"", r"did not answer in 2 tries of at most 2 s \(status 503\)"),
        (200, b"<html>", r"must answer .*got '<html>'"),
        (200, b'{"rewards": ["high"]}', "must answer"),
        (200, b'{"rewards": [1.0, 2.0]}', "must give one reward per response, got 2 for 1"),
    ],
)
def test_an_answer_that_is_none_stops_the_run(server: Server, status: int, body: bytes, message: str) -> None:
    scorer = reward(server.url, retries=1)
    server.answer = lambda request, number: (status, body)
    with pytest.raises(RunFailed, match=message):
        scorer.score(["p"], ["aa"], [True])


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    scorer = reward(server.url, retries=0, timeout_s=0.2)
    done = threading.Event()

    def hang(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        done.wait(5)
        return ok([])

    server.answer = hang
    with pytest.raises(RunFailed, match="did not answer in 1 tries"):
        scorer.score(["p"], ["aa"], [True])
    done.set()


class Raw:
    """Answers every request with the bytes that ``send`` writes, and hangs up."""

    def __init__(self) -> None:
        self.send: Callable[[socket.socket], None] = lambda connection: connection.sendall(whole(b'{"rewards": []}'))
        self.requests: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/score"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request or b"}" not in request:
                request += connection.recv(65536)
            self.requests.append(request)
            try:
                self.send(connection)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            except OSError:
                """The client has gone, as it should."""


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def raw() -> Iterator[Raw]:
    made = Raw()
    yield made
    made.socket.close()


DEEP = b'{"rewards": ' + b"[" * 200_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "cut": (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"rewards": [1', "did not answer in 1 tries"),
    "nothing": (b"", "did not answer in 1 tries"),
    "no_http": (b"SSH-2.0-OpenSSH_9.6\r\n", "did not answer in 1 tries"),
    "bad_chunk": (CHUNKED + b"zz\r\n{}\r\n", "did not answer in 1 tries"),
    "cut_chunk": (CHUNKED + b'5\r\n{"rew', "did not answer in 1 tries"),
    "deep": (whole(DEEP), "must answer"),
    "long_integer": (whole(b'{"rewards": [1' + b"0" * 400 + b"]}"), "must answer"),
    "very_long_integer": (whole(b'{"rewards": [1' + b"0" * 5000 + b"]}"), "must answer"),
    "infinite": (whole(b'{"rewards": [1e400]}'), "must answer"),
    "nan": (whole(b'{"rewards": [NaN]}'), "must answer"),
    "object": (whole(b'{"rewards": {"1": 2}}'), "must answer"),
    "text": (whole(b'{"rewards": "1"}'), "must answer"),
    "number_as_text": (whole(b'{"rewards": ["1"]}'), "must answer"),
    "boolean": (whole(b'{"rewards": [true]}'), "must answer"),
    "null": (whole(b'{"rewards": null}'), "must answer"),
    "list": (whole(b"[1.0]"), "must answer"),
    "no_text": (whole(b"\xff\xfe"), "must answer"),
    "redirect": (whole(b"", "Location: http://127.0.0.1:1/?token=x", status="302 Found"), r"redirect \(status 302\)"),
    "other_scheme": (whole(b"", "Location: file:///etc/passwd", status="307 Temporary Redirect"), "redirect"),
    "compressed": (whole(b"x", "Content-Encoding: gzip"), "without compression, got 'gzip'"),
    "created": (whole(b'{"rewards": [1]}', status="201 Created"), "refused: status 201"),
    "too_large": (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (17 * 2**20), "at most 16,777,216 bytes, and gave more"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_a_server_sends_ends_in_one_message(raw: Raw, name: str) -> None:
    scorer = reward(raw.url, retries=0)
    answer, said = ANSWERS[name]
    raw.send = lambda connection: connection.sendall(answer)
    with pytest.raises(RunFailed, match=rf"^the server of reward\.url={raw.url} .*{said}"):
        scorer.score(["p"], ["aa"], [True])
    assert len(raw.requests) == 2


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_given_up_in_time(raw: Raw, start: bytes) -> None:
    scorer = reward(raw.url, retries=0, timeout_s=0.4)

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)

    raw.send = drip
    before = time.monotonic()
    with pytest.raises(RunFailed, match=r"in 1 tries of at most 0\.4 s \(timed out\)"):
        scorer.score(["p"], ["aa"], [True])
    assert time.monotonic() - before < 3


def test_a_redirect_takes_the_token_nowhere(server: Server, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELAB_REWARD_TOKEN", "t0ken")
    raw.send = lambda connection: connection.sendall(whole(b"", f"Location: {server.url}", status="307 Temporary"))
    with pytest.raises(RunFailed, match="redirect"):
        reward(raw.url, retries=2)
    assert (len(raw.requests), server.requests) == (1, [])


def test_a_hundred_damaged_answers_give_numbers_or_one_message(raw: Raw) -> None:
    scorer, draw = reward(raw.url, retries=0, timeout_s=0.5), random.Random(0)
    good = whole(b'{"rewards": [0.5, -1e-3]}', "Content-Type: application/json")
    found: list[list[float] | str] = []
    for _ in range(100):
        answer = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            place, kind = draw.randrange(len(answer)), draw.choice(["flip", "cut", "double"])
            if kind == "flip":
                answer[place] = draw.randrange(256)
            elif kind == "double":
                answer[place:place] = answer[place : place + draw.randint(1, 20)]
            elif place > 0:
                del answer[place : place + draw.randint(1, 20)]
        raw.send = lambda connection, answer=bytes(answer): connection.sendall(answer)
        try:
            found.append(scorer.score(["p", "q"], ["a", "b"], [True, True]))
        except RunFailed as error:
            found.append(str(error))
    messages = [one for one in found if isinstance(one, str)]
    numbers = [one for one in found if not isinstance(one, str)]
    assert min(len(messages), len(numbers)) > 5
    assert all(message.startswith("the server of reward.url=") for message in messages)
    assert all([type(value) for value in pair] == [float, float] for pair in numbers)


@pytest.mark.parametrize(
    "url",
    [
        "http://h/score?api_key=s3cret",
        "https://h/score?x=1&access_token=s3cret",
        "https://h/score?X-Amz-Signature=s3cret",
        "https://h/score#token=s3cret",
        "ftp://me:s3cret@h/score",
        "http://s3cret@h/score",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^reward\.url must ") as refused:
        reward(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://", "file:///etc/passwd", "127.0.0.1:80", "", "http:///score"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^reward\.url must (begin|be the address)"):
        reward(url)


@pytest.mark.parametrize("token", ["t0ken\n", "two words", "schl\u00fcssel"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(
    server: Server, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SAFELAB_REWARD_TOKEN", token)
    with pytest.raises(ConfigError, match="SAFELAB_REWARD_TOKEN must be printable ASCII") as refused:
        reward(server.url)
    assert token not in str(refused.value)


def test_a_proxy_that_is_none_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://h:1")
    monkeypatch.setenv("HTTP_PROXY", "nonsense://h:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(RunFailed, match="cannot be asked through the proxy"):
        reward(server.url, retries=0)


def test_a_server_that_is_not_there_stops_before_anything_is_trained() -> None:
    with pytest.raises(RunFailed, match="did not answer"):
        reward("http://127.0.0.1:9/score", retries=0)


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"reward\.url must begin with http"):
        reward("ftp://somewhere")


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"reward\.url must hold no password; put a token into") as refused:
        reward("http://me:secret@127.0.0.1:1/score")
    assert "secret" not in str(refused.value)


def test_a_token_is_sent_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELAB_REWARD_TOKEN", "t0ken")
    reward(server.url).score(["p"], ["r"], [True])
    assert set(server.tokens) == {"Bearer t0ken"}
