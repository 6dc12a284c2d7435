"""Overrides and configuration files that nobody meant: each must end in a sound configuration or in one ConfigError."""

from functools import cache
from pathlib import Path

from hydra._internal.hydra import Hydra
from hypothesis import strategies as st
from omegaconf import OmegaConf

from safelab.app.config.compose import compose, config_directory, opened
from safelab.app.config.jobs import to_job
from safelab.app.config.preflight import preflight
from safelab.errors import UserError
from safelab.runlog.flat import leaves


@cache
def keys() -> tuple[str, ...]:
    """Every key of two composed configurations, and every group."""
    with opened() as hydra:
        made = [compose(hydra, [f"algorithm={name}", "guard=rollback"]) for name in ("safe", "ppo_released")]
    own = {key for config in made for key in leaves(OmegaConf.to_container(config)) if not key.startswith("hydra")}
    groups = {path.parent.relative_to(config_directory()).as_posix() for path in config_directory().rglob("*/*.yaml")}
    return tuple(sorted(own | groups))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
SCALARS = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    TEXTS,
    st.sampled_from(
        ["null", "nan", "-inf", "1e999", "0", "-1", "''", "[]", "{}", "[1,2]", "{a: 1}", "???", "${seed}", "${a.b}",
         "${oc.env:HOME}", "${hydra:runtime.cwd}", "../../etc", "/", "..", "a/b", "none", "safe",
         "!!python/object:os.system", "1,2", "range(3)", "choice(1,2)", "*", "&a", "'", '"', "\\", "\x1b[2J", "x" * 300]
    ),
)  # fmt: skip


@st.composite
def overrides(draw: st.DrawFn) -> list[str]:
    """One to three overrides: mostly of real keys, to mostly wrong values."""
    made = []
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.one_of(st.sampled_from(keys()), st.sampled_from(keys()), TEXTS))
        sign = draw(st.sampled_from(["", "", "", "+", "++", "~"]))
        made.append(f"{sign}{key}={draw(SCALARS)}")
    return made


YAMLS = st.one_of(
    TEXTS,
    st.dictionaries(st.one_of(TEXTS, st.sampled_from(["name", "lr", "defaults", "epochs", "_target_"])), SCALARS).map(
        lambda value: "".join(f"{key}: {item}\n" for key, item in value.items())
    ),
    st.sampled_from(
        ["name: adamw\n", "name: [1]\n", "- 1\n", "a: &a [*a]\n", "a: {b: {c: {d: 1}}}\n", "defaults: [nothing]\n",
         "# @package nowhere\nname: adamw\n", "name: adamw\nlr: !!python/name:os.system\n", "a: 1\na: 2\n", "\t",
         "%", "{"]
    ),
)  # fmt: skip


def ending(hydra: Hydra, given: list[str]) -> str:
    """``sound``, or the one message; anything else is raised."""
    try:
        preflight([to_job(compose(hydra, given))])
    except UserError as error:
        message = str(error)
        assert message.strip(), given
        assert "Traceback" not in message, message
        return message
    return "sound"


def ending_of_file(folder: Path, text: str) -> str:
    """The same of a user's own ``optimizer`` option with this text."""
    (folder / "optimizer").mkdir(exist_ok=True)
    (folder / "optimizer" / "mine.yaml").write_text(text, encoding="utf-8")
    with opened(str(folder)) as hydra:
        return ending(hydra, ["optimizer=mine"])
