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
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from safelab.contracts import (
    Coefficient,
    Context,
    Controller,
    Gate,
    Momentum,
    Part,
    Penalty,
    Phase,
    Reference,
    Route,
    Threshold,
)
from safelab.contracts.answers import check_number
from safelab.errors import ConfigError
from safelab.options import State
from safelab.plugins import build_option, find
from safelab.types import Plan, Signals

Decay = Annotated[float, Field(ge=0, lt=1)]


class Stack(Part):
    """The parts, each ``{name: ..., its numbers}``, and what holds for all of them.

    ``allow_known_bad``: lets a route act that is known to control nothing, to study it.
    ``kl_signal``: what the controller listens to. ``kl_input``: the raw KL or its short moving average.
    ``step_every``: once per rollout before its update, once after the ``update``, or once per epoch (as released).
    """

    fidelity: Literal["paper", "authors_code", "inferred"]
    allow_known_bad: bool
    step_every: Literal["rollout", "epoch", "update"]
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
    route: Mapping[str, Any]
    reference: Mapping[str, Any]

    @model_validator(mode="after")
    def _route_can_act(self) -> Self:
        route = route_class(self.route)
        if route is not None and route.known_bad is not None and not self.allow_known_bad:
            name, reason = self.route["name"], route.known_bad
            raise ValueError(f"must not have route={name}: {reason}, or set allow_known_bad=true to study it")
        return self

    def build(self, context: Context) -> "ControllerStack":
        """All parts, each from its own nested group."""

        def part(group: str) -> Any:
            return build_option(f"controller/{group}", getattr(self, group), context)

        return ControllerStack(
            options=self,
            route=part("route"),
            reference=part("reference"),
            step_every=self.step_every,
            preview_max_kl=part("preview").limit(),
            penalty=part("penalty"),
            momentum=part("momentum"),
            gate=part("gate"),
            threshold=part("threshold"),
            phase=part("phase"),
            coefficient=part("coefficient"),
        )


def route_class(config: object) -> type[Route] | None:
    """The class of ``{name: ...}``; None where that names no route, which ``plugins.faults`` tells the user."""
    name = config.get("name") if isinstance(config, Mapping) else None
    try:
        found = find("controller/route", name) if isinstance(name, str) else None
    except ConfigError:
        return None
    return found if isinstance(found, type) and issubclass(found, Route) else None


class ControllerState(State):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerStack(Controller[ControllerState]):
    """See the module's docstring."""

    options: Stack
    route: Route
    reference: Reference | None
    step_every: Literal["rollout", "epoch", "update"]
    preview_max_kl: float | None
    penalty: Penalty
    momentum: Momentum[Any]
    gate: Gate[Any]
    threshold: Threshold[Any]
    phase: Phase[Any]
    coefficient: Coefficient[Any]

    def init(self) -> ControllerState:
        """State before any signal."""
        return ControllerState(
            kl=0.0,
            kl_short=0.0,
            kl_long=0.0,
            steps=0,
            momentum=self.momentum.init(),
            gate=self.gate.init(),
            threshold=self.threshold.init(),
            phase=self.phase.init(),
            coefficient=self.coefficient.init(),
        )

    def step(self, state: ControllerState, signals: Signals) -> ControllerState:
        """One more observation.

        Raises:
            ConfigError: the exact KL is wanted and the signals do not hold it.
        """
        kl = self._heard(signals)
        short, long = self.options.kl_short_decay, self.options.kl_long_decay
        return ControllerState(
            kl=kl,
            kl_short=short * state.kl_short + (1 - short) * kl,
            kl_long=long * state.kl_long + (1 - long) * kl,
            steps=state.steps + 1,
            momentum=self.momentum.step(state.momentum, signals, kl),
            gate=self.gate.step(state.gate, signals, kl),
            threshold=self.threshold.step(state.threshold, signals, kl),
            phase=self.phase.step(state.phase, signals, kl),
            coefficient=self.coefficient.step(state.coefficient, signals, kl),
        )

    def _heard(self, signals: Signals) -> float:
        if self.options.kl_signal == "k1":
            return signals.kl_ref_token_k1
        if signals.kl_ref_token_exact is None:
            raise ConfigError(
                "controller.kl_signal=exact needs the column kl_ref_token_exact, which the signals lack; "
                "use controller.kl_signal=k1"
            )
        return signals.kl_ref_token_exact

    def plan(self, state: ControllerState) -> Plan:
        """What holds until the next step."""
        phase, multiplier = self.phase.phase(state.phase)
        threshold = self.threshold.threshold(state.threshold, multiplier)
        smoothed = self.options.kl_input == "short_average"
        base = self.penalty.term(
            state.kl_short if smoothed else state.kl, threshold, self.coefficient.coef(state.coefficient)
        )
        momentum = self.momentum.term(state.momentum)
        active = base.slope != 0.0
        # A gate on nothing is 1: the released telemetry says so too.
        found = self.gate.factor(state.gate) if active or momentum.value > 0 else 1.0
        gate = check_number("controller/gate", self.gate, "factor", found)
        # d kl_short / d K: the average passes on only this share of the newest KL.
        share = 1 - self.options.kl_short_decay if smoothed else 1.0
        return Plan(
            kl_coef=gate * (base.slope * share + momentum.slope),
            penalty=gate * (base.value + momentum.value),
            threshold=threshold,
            gate=gate,
            phase=phase,
            active=active,
            kl_short=state.kl_short,
            kl_long=state.kl_long,
            momentum=self.momentum.speed(state.momentum),
            momentum_penalty=gate * momentum.value,
            asymmetric_penalty=gate * base.value,
        )
