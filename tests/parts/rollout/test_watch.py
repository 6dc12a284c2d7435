"""What becomes of an engine that raises, dies in the middle of a call, or is ended."""

import threading
import time

import pytest

from safelab.errors import EngineFailed, RunFailed
from safelab.parts.rollout import _watch
from safelab.parts.rollout._watch import Watch
from support.vllm_stand_in import EngineProcess


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(_watch, "GRACE_S", 0.01)


def raising(error: BaseException) -> None:
    raise error


def test_what_a_call_gives_is_given() -> None:
    assert Watch([EngineProcess(1)])("count", lambda: 3) == 3


def test_what_it_raises_is_one_message() -> None:
    watch = Watch([EngineProcess(1)])
    with pytest.raises(
        EngineFailed, match=r"vLLM's engine could not count: ValueError: no room .*the same command"
    ) as it:
        watch("count", lambda: raising(ValueError("no\nroom")))
    assert it.value.exit_code == 1
    assert isinstance(it.value.__cause__, ValueError)
    assert "\n" not in str(it.value)


def test_what_is_ours_passes() -> None:
    with pytest.raises(RunFailed, match=r"^as it is$"):
        Watch([])("count", lambda: raising(RunFailed("as it is")))


@pytest.mark.parametrize(("code", "how"), [(-9, "was killed by signal 9"), (3, "ended with exit code 3")])
def test_a_process_that_is_gone_is_not_waited_for(code: int, how: str) -> None:
    """vLLM's own front end would wait for ever."""
    process, forever = EngineProcess(1), threading.Event()

    def call() -> None:
        process.end(code)
        forever.wait()

    with pytest.raises(EngineFailed, match=rf"could not write: its process {how}; the same command goes on"):
        Watch([process])("write", call)
    forever.set()


def test_a_call_that_ends_with_its_process_is_heard() -> None:
    process = EngineProcess(1)

    def call() -> None:
        process.end(1)
        raise ValueError("no memory")

    with pytest.raises(EngineFailed, match=r"its process ended with exit code 1 \(ValueError: no memory"):
        Watch([process])("write", call)


def test_an_engine_that_is_ended_ends_the_call_that_waits_for_it() -> None:
    process, forever = EngineProcess(1), threading.Event()
    watch = Watch([process])
    threading.Thread(target=lambda: (time.sleep(0.02), watch.close())).start()
    with pytest.raises(EngineFailed, match="could not write: it was ended"):
        watch("write", forever.wait)
    forever.set()
