"""Feedback controllers over plain floats: state in, state out. Float64 throughout, so that recorded traces replay."""

from pydantic import Field

from safelab.options import Options, State


class PidOptions(Options):
    """Gains of a PID controller, and the bound of its integral (anti-windup)."""

    kp: float
    ki: float
    kd: float
    integral_limit: float = Field(gt=0)


class PidState(State):
    """What a PID controller remembers, and its last output."""

    integral: float = 0.0
    previous_error: float = 0.0
    output: float = 0.0


def pid_init() -> PidState:
    """The state before any error: the first derivative is taken from an error of 0."""
    return PidState()


def pid_step(options: PidOptions, state: PidState, error: float) -> PidState:
    """``I = clip(I + e, -limit, limit)``, ``output = kp e + ki I + kd (e - e_previous)``; time in steps."""
    integral = clip(state.integral + error, -options.integral_limit, options.integral_limit)
    output = options.kp * error + options.ki * integral + options.kd * (error - state.previous_error)
    return PidState(integral=integral, previous_error=error, output=output)


def ema(previous: float, x: float, decay: float) -> float:
    """``decay previous + (1 - decay) x``: a moving average without bias correction."""
    return decay * previous + (1 - decay) * x


def ziegler_coef(coef: float, kl_seq: float, target: float, n: int, horizon: float, error_clip: float = 0.2) -> float:
    """``coef (1 + e n / horizon)``, ``e = clip(KL / target - 1, -error_clip, error_clip)``.

    Args:
        coef: the KL coefficient so far.
        kl_seq: measured KL; nats per response, like ``target`` (or both per token: never a mix).
        target: the KL that the coefficient is steered to.
        n: responses since the last step.
        horizon: responses in which a full error multiplies the coefficient by about e^error_clip.
        error_clip: bound of the relative error.

    Ref: Ziegler et al. 2019 (arXiv 1909.08593), section 2.2.
    """
    error = clip(kl_seq / target - 1, -error_clip, error_clip)
    return coef * (1 + error * n / horizon)


def clip(x: float, low: float, high: float) -> float:
    """``x``, or the bound that it passes."""
    return max(low, min(high, x))
