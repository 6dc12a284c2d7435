"""The controller: nested parts that each decide one thing, and one plan made of them.

    tau   = threshold(phase multiplier)                         nats per response token
    P(K)  = gate * ( penalty(K, tau, coef) + momentum(K) )
    plan  : P at the measured K, and kl_coef = dP/dK there

The loss (or reward) of the update carries ``kl_coef * KL``. That is the gradient of P at the policy that wrote the
rollout, for every route alike, and it is linear in the KL, so minibatches and accumulation do not change it.
Deviation: the paper's summaries differentiate P at the live policy; the two agree in the first pass over a rollout.
Ref: SAFE, arXiv 2602.04651, and its released ``EntropyAwarePredictiveController``.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, SerializeAsAny, model_validator

from safelab.contracts import Context, Route
from safelab.errors import ConfigError
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.parts.controller._parts import Coefficient, Gate, Momentum, Penalty, Phase, Preview, Threshold
from safelab.plugins import build_option
from safelab.types import Plan, Signals

PARTS = ("penalty", "momentum", "gate", "threshold", "phase", "preview", "coefficient")
Decay = Annotated[float, Field(ge=0, lt=1)]


class Options(BaseOptions):
    """The parts, each ``{name: ..., its numbers}``, and what holds for all of them.

    ``route``: how the penalty reaches the policy. ``constant`` adds a number without gradient (as released);
    ``loss_exact`` is the full-vocabulary KL; ``loss_k1``, ``loss_k2``, ``loss_k3`` differentiate an estimator;
    ``ratio_k1`` is k1 under the importance ratio; ``reward`` subtracts kl_coef * k1 from each token's reward.
    ``loss_k1`` has zero expected gradient on-policy: refused unless ``allow_known_bad``.
    ``kl_signal``: what the controller listens to. ``kl_input``: the raw KL or its short moving average.
    ``step_every``: once per rollout, or once per epoch (as released).
    """

    name: str
    fidelity: Literal["paper", "authors_code", "inferred"]
    route: Route
    allow_known_bad: bool
    step_every: Literal["rollout", "epoch"]
    kl_signal: Literal["exact", "k1"]
    kl_input: Literal["raw", "short_average"]
    kl_short_decay: Decay
    kl_long_decay: Decay
    penalty: Mapping[str, Any]
    momentum: Mapping[str, Any]
    gate: Mapping[str, Any]
    threshold: Mapping[str, Any]
    phase: Mapping[str, Any]
    preview: Mapping[str, Any]
    coefficient: Mapping[str, Any]

    @model_validator(mode="after")
    def _route_can_act(self) -> Self:
        if self.route == "loss_k1" and not self.allow_known_bad:
            raise ValueError(
                "must not have route=loss_k1: its expected gradient is zero on-policy, so it controls nothing; "
                "use loss_exact, loss_k2, ratio_k1 or reward, or set allow_known_bad=true to study it"
            )
        return self


class StackState(State):
    """KL averages (from 0, without bias correction, as released) and the state of each part."""

    kl: float
    kl_short: float
    kl_long: float
    steps: int
    momentum: SerializeAsAny[State]
    gate: SerializeAsAny[State]
    threshold: SerializeAsAny[State]
    phase: SerializeAsAny[State]
    coefficient: SerializeAsAny[State]


def build(options: Options, context: Context) -> "ControllerStack":
    """All parts, each from its own nested group."""
    parts = {part: build_option(f"controller/{part}", getattr(options, part), context) for part in PARTS}
    return ControllerStack(options, parts)


class ControllerStack:
    """``contracts.Controller``."""

    def __init__(self, options: Options, parts: Mapping[str, object]) -> None:
        self.route: Route = options.route
        self.step_every = options.step_every
        self._options = options
        self._penalty = cast(Penalty, parts["penalty"])
        self._momentum = cast(Momentum, parts["momentum"])
        self._gate = cast(Gate, parts["gate"])
        self._threshold = cast(Threshold, parts["threshold"])
        self._phase = cast(Phase, parts["phase"])
        self._coefficient = cast(Coefficient, parts["coefficient"])
        self.preview_max_kl = cast(Preview, parts["preview"]).max_kl

    def init(self) -> StackState:
        """State before any signal."""
        return StackState(
            kl=0.0,
            kl_short=0.0,
            kl_long=0.0,
            steps=0,
            momentum=self._momentum.init(),
            gate=self._gate.init(),
            threshold=self._threshold.init(),
            phase=self._phase.init(),
            coefficient=self._coefficient.init(),
        )

    def step(self, state: State, signals: Signals) -> StackState:
        """One more observation.

        Raises:
            ConfigError: the exact KL is wanted and the signals do not hold it.
        """
        state = cast(StackState, state)
        kl = self._heard(signals)
        short, long = self._options.kl_short_decay, self._options.kl_long_decay
        return StackState(
            kl=kl,
            kl_short=short * state.kl_short + (1 - short) * kl,
            kl_long=long * state.kl_long + (1 - long) * kl,
            steps=state.steps + 1,
            momentum=self._momentum.step(state.momentum, signals, kl),
            gate=self._gate.step(state.gate, signals, kl),
            threshold=self._threshold.step(state.threshold, signals, kl),
            phase=self._phase.step(state.phase, signals, kl),
            coefficient=self._coefficient.step(state.coefficient, signals, kl),
        )

    def _heard(self, signals: Signals) -> float:
        if self._options.kl_signal == "k1":
            return signals.kl_ref_token_k1
        if signals.kl_ref_token_exact is None:
            raise ConfigError(
                "controller.kl_signal=exact needs the column kl_ref_token_exact, which the signals lack; "
                "use controller.kl_signal=k1"
            )
        return signals.kl_ref_token_exact

    def plan(self, state: State) -> Plan:
        """What holds until the next step."""
        state = cast(StackState, state)
        phase, multiplier = self._phase.phase(state.phase)
        threshold = self._threshold.threshold(state.threshold, multiplier)
        smoothed = self._options.kl_input == "short_average"
        base = self._penalty.term(
            state.kl_short if smoothed else state.kl, threshold, self._coefficient.coef(state.coefficient)
        )
        momentum = self._momentum.term(state.momentum)
        active = base.slope != 0.0
        # A gate on nothing is 1: the released telemetry says so too.
        gate = self._gate.factor(state.gate) if active or momentum.value > 0 else 1.0
        # d kl_short / d K: the average passes on only this share of the newest KL.
        share = 1 - self._options.kl_short_decay if smoothed else 1.0
        return Plan(
            kl_coef=gate * (base.slope * share + momentum.slope),
            penalty=gate * (base.value + momentum.value),
            threshold=threshold,
            gate=gate,
            phase=phase,
            active=active,
            kl_short=state.kl_short,
            kl_long=state.kl_long,
            momentum=self._momentum.speed(state.momentum),
            momentum_penalty=gate * momentum.value,
            asymmetric_penalty=gate * base.value,
        )
