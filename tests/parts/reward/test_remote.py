"""A real server on this machine: batches, retries, and answers that are none."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

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
