"""A threshold moved by a PID controller on the reward's velocity.

    R_t = d R_{t-1} + (1 - d) r_t  (R_0 = r_0),   v_t = R_t - R_{t-1},   e_t = v_t - target_velocity
    tau_t = clip( (base + PID(e_t)) * phase multiplier, floor, ceiling )

Faster growth of the reward loosens the threshold. The first reward only sets R: PID stays 0.
Ref: SAFE, arXiv 2602.04651; its released ``RewardVelocityPID``.
"""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Threshold
from safelab.maths.feedback import PidOptions, PidState, ema, pid_init, pid_step
from safelab.options import State
from safelab.types import Signals

Positive = Annotated[float, Field(gt=0)]


class PidThresholdState(State):
    """The smoothed reward (None before the first) and the PID's own state."""

    reward: float | None
    pid: PidState


class PidThreshold(Threshold[PidThresholdState]):
    """``base``, ``floor``, ``ceiling``: nats per response token. ``target_velocity``: reward per step."""

    base: Positive
    floor: Annotated[float, Field(ge=0)]
    ceiling: Positive
    reward_decay: Annotated[float, Field(ge=0, lt=1)]
    target_velocity: float
    pid: PidOptions

    def init(self) -> PidThresholdState:
        """No reward yet."""
        return PidThresholdState(reward=None, pid=pid_init())

    def step(self, state: PidThresholdState, signals: Signals, kl: float) -> PidThresholdState:
        """One more reward."""
        if state.reward is None:
            return PidThresholdState(reward=signals.reward_mean, pid=state.pid)
        reward = ema(state.reward, signals.reward_mean, self.reward_decay)
        error = reward - state.reward - self.target_velocity
        return PidThresholdState(reward=reward, pid=pid_step(self.pid, state.pid, error))

    def threshold(self, state: PidThresholdState, multiplier: float) -> float:
        """tau_t."""
        moved = (self.base + state.pid.output) * multiplier
        return min(self.ceiling, max(self.floor, moved))
