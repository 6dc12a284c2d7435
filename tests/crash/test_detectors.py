import json

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from safelab.crash.detectors import DetectorOptions, DetectorState, detect, detect_init, detect_step
from safelab.crash.table import KINDS
from safelab.options import restored
from support.rows import options, rows


def noisy(rng, updates, batch, level, kl=0.02, entropy=0.8, gold=0.3):
    """A run whose reward model is a sigmoid; ``level`` is the logit at each update."""
    reward = 1 / (1 + numpy.exp(-(numpy.asarray(level)[:, None] + rng.normal(0, 1.3, size=(updates, batch)))))
    return rows(
        mean=reward.mean(1).tolist(),
        std=reward.std(1, ddof=1).tolist(),
        low=reward.min(1).tolist(),
        high=reward.max(1).tolist(),
        kl=numpy.abs(rng.normal(kl, kl / 2, updates)).tolist(),
        entropy=rng.normal(entropy, 0.03, updates).tolist(),
        gold=rng.normal(gold, 0.6 / numpy.sqrt(batch), updates).tolist(),
        repeats=rng.uniform(0.0, 0.1, updates).tolist(),
        error=(rng.chisquare(batch, updates) / batch).tolist(),
    )


def runs_with(events, key):
    return sum(any(row[key] for row in run) for run in events)


@pytest.mark.slow
def test_false_alarms_on_null_runs():
    """Learning rate 0: 150 updates of 32 responses. 2,000 such runs gave 0.95 % reward crashes and none of the rest."""
    rng = numpy.random.default_rng(0)
    events = [detect(options(), noisy(rng, 150, 32, [0.6] * 150), 32) for _ in range(150)]
    assert runs_with(events, "crash/reward") <= 5
    for kind in KINDS[1:]:
        assert runs_with(events, kind.key) == 0


def test_tighter_constants_alarm_in_most_null_runs():
    """The prototype of these definitions saw about one alarm per null run at 4 standard errors over 5 updates."""
    tight = options().model_dump()
    tight["reward_crash"] |= {"window": 5, "standard_errors": 4.0}
    rng = numpy.random.default_rng(0)
    events = [detect(DetectorOptions(**tight), noisy(rng, 150, 32, [0.6] * 150), 32) for _ in range(20)]
    assert runs_with(events, "crash/reward") >= 10


def test_a_healthy_climb_is_no_crash_and_a_collapse_after_it_is_one():
    rng = numpy.random.default_rng(1)
    climb = numpy.concatenate([numpy.linspace(0, 1.5, 100), numpy.full(50, 1.5)])
    fall = numpy.concatenate([numpy.linspace(0, 1.5, 100), numpy.linspace(1.5, -1.5, 50)])
    healthy = [detect(options(), noisy(rng, 150, 32, climb), 32) for _ in range(20)]
    failed = [detect(options(), noisy(rng, 150, 32, fall), 32) for _ in range(20)]
    assert runs_with(healthy, "crash/reward") == 0
    assert runs_with(failed, "crash/reward") == 20


def test_a_state_in_flight_goes_on_after_json_as_if_uninterrupted():
    rng = numpy.random.default_rng(2)
    level = numpy.concatenate([numpy.linspace(0, 1.5, 30), numpy.linspace(1.5, -1.5, 30), numpy.full(30, 1.0)])
    made = noisy(rng, 90, 16, level, kl=1.0, entropy=0.6)
    for row in made[20:45]:
        row["policy/entropy_token"] = 0.1
        row["reward/gold_mean"] = -1.0
        row["response/repeat_rate"], row["critic/error_ratio"] = 0.9, 90.0
    made[70]["kl/ref_token_exact"] = float("inf")
    whole = detect(options(), made, 16)
    assert sum(sum(row.values()) for row in whole) >= 6  # a comparison of zeros would show nothing

    state, resumed = detect_init(), []
    for row in made:
        state, events = detect_step(options(), state, row, 16)
        resumed.append(events)
        state = restored(detect_init(), json.loads(json.dumps(state.model_dump())))
        assert isinstance(state, DetectorState)
    assert resumed == whole


@given(st.sets(st.sampled_from(["mean", "std", "kl", "entropy", "gold", "repeats", "error"])))
def test_what_a_row_lacks_gives_no_key(names):
    made = rows(**{name: [0.5] for name in names}) or [{}]
    events = detect(options(), made, 32)
    reward = {"mean", "std"} <= names
    assert set(events[0]) == {
        *(["crash/reward"] if reward else []),
        *(["crash/hacking"] if reward and "gold" in names else []),
        *(["crash/kl_spike", "crash/kl_explosion"] if "kl" in names else []),
        *(["crash/entropy_collapse"] if "entropy" in names else []),
        *(["crash/repetition"] if "repeats" in names else []),
        *(["crash/value_divergence"] if "error" in names else []),
    }


def test_a_metric_of_none_is_absent_and_a_batch_of_one_has_no_noise_to_compare_with():
    row = {"reward/mean": 0.5, "reward/std": float("nan"), "reward/gold_mean": 0.1, "kl/ref_token_exact": None}
    assert detect(options(), [row], 1) == [{}]


def test_detection_reads_only_the_past():
    rng = numpy.random.default_rng(3)
    made = noisy(rng, 60, 16, numpy.linspace(1, -2, 60))
    assert detect(options(), made[:40], 16) == detect(options(), made, 16)[:40]


def test_constants_are_validated():
    wrong = options().model_dump()
    wrong["kl_spike"]["window"] = 0
    with pytest.raises(ValidationError, match="window"):
        DetectorOptions(**wrong)
