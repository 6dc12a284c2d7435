"""No normalisation: rewards keep the reward model's own scale."""

from jaxtyping import Float
from torch import Tensor

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State


class Options(BaseOptions):
    """Nothing to set."""

    name: str


class Unchanged:
    """A ``Normaliser`` that changes nothing."""

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[State, Float[Tensor, "b"]]:
        """``reward_seq`` itself."""
        return state, reward_seq


def build(options: Options, context: Context) -> Unchanged:
    """The part that changes nothing."""
    return Unchanged()
