"""AdamW for the policy and for the critic, each with its own rate and gradient limit; see ``_adam``."""

from functools import partial

import torch

from safelab.contracts import Context
from safelab.parts.optimizer._adam import AdamFactory, AdamOptions


class Options(AdamOptions):
    """See ``_adam.AdamOptions``."""


def build(options: Options, context: Context) -> AdamFactory:
    """The factory of both optimisers."""
    return AdamFactory(options, partial(torch.optim.AdamW, foreach=True))
