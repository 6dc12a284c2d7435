"""``safelab reproduce --paper NAME``: train what a publication trained, then put its numbers beside ours."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelab.app.commands import report, train
from safelab.app.config.compose import opened, parse
from safelab.app.sweep.preset import planned, sweeps
from safelab.errors import ConfigError, printable

if TYPE_CHECKING:
    from safelab.results.compare.preset_gaps import Preset
    from safelab.results.published.read import Publication


def listing() -> int:
    """Print the publications that are known, with their sources; returns the exit code."""
    from safelab.results.published.read import names, read

    for name in names():
        about = read(name).about
        print(f"{name}\n    {about.title} ({', '.join(about.source)})")
    return 0


def reproduce(name: str, words: Sequence[str]) -> int:
    """Say what will be trained, train it as ``safelab train -m +sweep=NAME`` does, and report; returns the exit code.

    What was interrupted goes on with the same command. A run that failed or diverged makes the exit code 1, and the
    report is written all the same: it says so.

    Args:
        name: of the publication.
        words: overrides and flags of ``safelab train``.

    Raises:
        UserError: an unknown name, a wrong override, weights that cannot be had, no run that counts.
    """
    publication = report.published(name)
    preset = [f"+sweep={publication.name}"]
    arguments = ["-m", *preset, *words]
    flags = parse(arguments)
    if flags.help or flags.hydra_help or flags.cfg or flags.info:
        return train.main(arguments)
    with opened(flags.config_dir, flags.config_path) as hydra:
        if publication.name not in sweeps(hydra):
            raise ConfigError(f"--paper {publication.name} has published numbers, and no sweep of that name to train")
        told = [word for word in flags.overrides if word not in (train.DRY, train.NOT_DRY)]
        made = planned(hydra, told)
        asked = made if told == preset else planned(hydra, preset)
    folder = next(str(Path(config["output_dir"], config["experiment"])) for config in made.arms.values())
    print("\n".join(map(printable, foretold(publication, asked, made, folder))), flush=True)
    elsewhere = any(word.startswith("hydra/launcher=") for word in told)
    if train.DRY not in flags.overrides and not elsewhere and not Path(folder).is_dir():
        check_policies(made)
    code = train.main(arguments)
    if train.DRY in flags.overrides or not Path(folder).is_dir():
        return code  # where no run could begin, there is nothing to report, and it was said why
    return max(code, report.main([folder, "--paper", publication.name]))


def check_policies(made: "Preset") -> None:
    """Refuse weights that nothing here has before the first run begins: else each run would say so by itself.

    Runs that are there already need none, and another machine may have what this one lacks: then it is not asked for.

    Raises:
        ConfigError: neither a directory, nor the cache, nor the hub has a policy.
    """
    from safelab.pretrained.adapters import base_of
    from safelab.pretrained.load import Source, shape_of

    policies = [config["policy"] for config in made.arms.values()]
    for path in dict.fromkeys(one["path"] for one in policies if one["name"] == FROM_FILES):
        source = Source("policy.path", path, "of a causal language model", REMEDY)
        if base_of(source) is None:
            shape_of(source)


FROM_FILES = "causal_lm"
"""The policy that is read from a directory, the cache or the hub."""

REMEDY = (
    "fetch it where there is a network, or give a directory with config.json, model.safetensors and a tokenizer "
    "(policy.path=DIR); dry_run=true needs no weights"
)


def foretold(publication: "Publication", asked: "Preset", made: "Preset", folder: str) -> Iterator[str]:
    """What will be trained, and what differs from the publication and from the preset, a line each."""
    from safelab.results import text
    from safelab.results.compare.preset_gaps import gaps_between
    from safelab.results.words.beside_paper import gap_said

    about = publication.about
    yield f"{about.title} ({', '.join(about.source)})"
    yield f"  claims: {about.claim}"
    yield f"  trains {text.runs(sum(map(len, made.seeds.values())))} into {folder}; episodes are those of one run"
    yield from aligned([HEADS, *(row(arm, config, made.seeds[arm]) for arm, config in made.arms.items())])
    for sentence in about.departures:
        yield f"differs from the publication: {sentence}"
    for gap in gaps_between(asked, made):
        yield f"differs from the preset: {gap_said(gap)}"


HEADS = ("arm", "seeds", "policy", "reward", "updates", "episodes")


def row(arm: str, config: Mapping[str, Any], seeds: Sequence[int]) -> tuple[str, ...]:
    """What an arm trains, as cells; episodes are responses, or pairs of an offline run."""
    from safelab.app.dry_run.estimate import batches

    cut = batches(config)
    episodes = cut.get("responses in all") or cut["pairs in all"]
    models = [str(config[part].get("path") or config[part]["name"]) for part in ("policy", "reward")]
    return (arm, ",".join(map(str, seeds)), *models, f"{config['updates']:,}", f"{episodes:,}")


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
