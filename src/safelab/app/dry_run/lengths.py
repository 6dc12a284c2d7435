"""How long a run's texts really are: its data is read as the run will read it, where data and tokenizer are at hand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from safelab.errors import ConfigError

AT_HAND = {"data": ("reviews", "tasks", "text", "jsonl", "hh_rlhf", "hub"), "pairs": ("none", "jsonl", "hh_rlhf")}
"""What is read without making or fetching anything; a source of the user's own may do both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The longest prompt and response, in tokens; ``said``: how that is known.

    ``rollouts``: of each rollout the prompt's length of each row; empty where they are not known, or not learnt from.
    """

    prompt: int
    response: int
    said: str
    rollouts: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Counting:
    """Of a policy what reading its data asks for: how many tokens a prompt has, by the tokenizer alone."""

    texts: Any
    counts: dict[str, int] = field(default_factory=dict)

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut.

        Raises:
            DataError: the policy cannot read it.
        """
        if text not in self.counts:
            self.counts[text] = self.texts.count(text)
        return self.counts[text]

    def longest(self, prompts: Iterable[str]) -> int:
        """Of the prompts as they are cut."""
        return max(self.as_cut(prompts))

    def as_cut(self, prompts: Iterable[str]) -> list[int]:
        """Tokens of each."""
        return [min(self.texts.max_prompt_tokens, self.count_tokens(text)) for text in prompts]


def lengths(config: Mapping[str, Any], table: Mapping[str, int], say: Callable[[str], None]) -> Lengths:
    """The longest texts that the run draws, or where they cannot be read here, the longest that it allows.

    Args:
        config: the run's, resolved.
        table: ``dry_run.batches`` of ``config``.
        say: is told how far it is.

    Raises:
        ConfigError, DataError: what the run would say of its data, its tokenizer or its chat template.
    """
    written = config["rollout"]["max_new_tokens"]
    answers = config["pairs"].get("max_response_tokens") or 0
    allowed, response = config["policy"]["max_prompt_tokens"], max(written, answers)
    reason = _not_at_hand(config)
    texts = None if reason else _texts(config["policy"])
    if texts is None:
        reason = reason or f"no tokenizer of {config['policy'].get('path')} on this machine"
        return Lengths(prompt=allowed, response=response, said=f"the longest allowed; not measured: {reason}")
    return _measured(config, table, Counting(texts), written, say)


def _measured(
    config: Mapping[str, Any], table: Mapping[str, int], policy: Counting, written: int, say: Callable[[str], None]
) -> Lengths:
    import torch

    from safelab.contracts import Context, Policy, drawn_pairs, drawn_prompts
    from safelab.plugins import build_option

    device = torch.device("cpu")
    context = Context(seed=config["seed"], device=device, cache=Path(), progress=say, policy=cast(Policy, policy))
    pairs = build_option("pairs", config["pairs"], context)
    data = build_option("data", config["data"], context)
    each = config["rollout"]["batch_size"] // config["rollout"].get("samples_per_prompt", 1)
    rollouts = table.get("updates that are measured", config["updates"] + config["rollout"].get("staleness", 0))
    drawn = drawn_prompts(data, 0, each * rollouts)
    prompts, response = set(drawn), written
    batches: tuple[tuple[int, ...], ...] = ()
    if pairs is None:
        sizes, again = policy.as_cut(drawn), config["rollout"].get("samples_per_prompt", 1)
        batches = tuple(tuple(sizes[start : start + each]) * again for start in range(0, len(sizes), each))
    else:
        some = set(drawn_pairs(pairs, 0, pairs.batch_size * config["updates"]))
        prompts |= {pair.prompt for pair in some}
        sides = [(pair.prompt, text) for pair in some for text in (pair.chosen, pair.rejected)]
        ids, _ = policy.texts.responses(*zip(*sides, strict=True), [True] * len(sides), pairs.max_response_tokens)
        response = max(written, ids.shape[1])
    said = f"the longest of the {len(prompts):,} different prompts that the run draws"
    return Lengths(prompt=policy.longest(prompts), response=response, said=said, rollouts=batches)


def _not_at_hand(config: Mapping[str, Any]) -> str | None:
    """Why the texts are not read here; None if they can be."""
    for group, known in AT_HAND.items():
        name, path = config[group]["name"], config[group].get("path")
        if name not in known:
            return f"{group}={name} is not read without a run"
        local = not isinstance(path, str) or Path(path).exists()
        if "subset" in config[group] and not local and path.count("/") == 1 and not Path(path).suffix:
            return f"{group}.path={path} is not a file on this machine"
    return None


def _texts(policy: Mapping[str, Any]) -> Any:
    """The policy's tokenizer with its template; None where it is not on this machine.

    Raises:
        ConfigError: it is, and cannot be used.
    """
    from safelab.corpus.dialogue import check_template
    from safelab.parts.policy._texts import Texts
    from safelab.pretrained.adapters import with_tokenizer
    from safelab.pretrained.load import Source, tokenizer_of

    longest = policy["max_prompt_tokens"]
    if policy["name"] == "tiny":
        from safelab.world.languages import language_of
        from safelab.world.options import WorldOptions
        from safelab.world.tokenizer import build_tokenizer

        return Texts(build_tokenizer(language_of(WorldOptions(**policy["world"])).words()), "plain", longest)
    if policy["name"] != "causal_lm":
        return None
    path, template = policy["path"], policy["prompt_template"]
    source = Source("policy.path", path, "of a causal language model", "give a directory with a tokenizer")
    try:
        tokenizer = tokenizer_of(with_tokenizer(source), padding_side="left", local_files_only=True)
    except ConfigError:
        if Path(path).is_dir():
            raise
        return None
    check_template("policy.prompt_template", template, tokenizer, path)
    return Texts(tokenizer, template, longest)
