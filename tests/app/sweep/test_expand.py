"""A user's sweep with arms, composed by Hydra over the real groups: names, precedence, seeds, and what is refused."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra

from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import Job, to_job
from safelab.app.sweep.expand import alike, expand, is_sweep, jobs_of, shared, the_one
from safelab.errors import ConfigError

BODY = """
experiment: mine
updates: 7
optimizer: {epochs: 3}
arms:
  safe: {algorithm: safe}
  no_gate: {algorithm: safe, controller/gate: none}
  tuned_ppo: {algorithm: ppo, optimizer.lr: 1.0e-4, optimizer.epochs: 5}
seed: range(2)
"""
GLOBAL = "# @package _global_\n"
FILES = {
    "sweep/mine.yaml": GLOBAL + BODY,
    "mine.yaml": "defaults:\n  - config\n  - _self_\n" + BODY,
    "sweep/common.yaml": GLOBAL + "defaults:\n  - override /controller: fixed_kl\narms: {a: {algorithm: safe}}\n",
    "sweep/free.yaml": GLOBAL + "arms: {a: {}, b: {optimizer.lr: 1.0e-4}}\nseed: [3]\n",
    "sweep/unpacked.yaml": "arms: {a: {}}\n",
    "sweep/twins.yaml": GLOBAL + "arms: {a: {optimizer.lr: 1.0e-4}, b: {optimizer.lr: 0.0001}, c: {}}\nseed: 0,1\n",
    "sweep/odd.yaml": GLOBAL + "arms: {good: {}, bad: {controller/gat: none}, worse: {optimizer.lrr: 1}}\nseed: 0,1\n",
    "sweep/named.yaml": GLOBAL + "baseline: a\narms: {a: {}, b: {optimizer.lr: 1.0e-4}}\n",
    "sweep/astray.yaml": GLOBAL + "baseline: aa\narms: {a: {}, b: {optimizer.lr: 1.0e-4}}\n",
    "experiment/first.yaml": GLOBAL + "optimizer: {epochs: 7}\n",
    "experiment/second.yaml": GLOBAL + "defaults: [first, {override /algorithm: safe}]\nexperiment: named\n",
    "experiment/bare.yaml": "updates: 3\n",
    "sweep/old.yaml": GLOBAL + "hydra: {mode: MULTIRUN, sweeper: {params: {algorithm: 'ppo,safe', seed: '0,1'}}}\n",
}


@pytest.fixture(scope="module")
def hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    folder = tmp_path_factory.mktemp("conf")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with opened(str(folder)) as opened_hydra:
        yield opened_hydra


Jobs = Callable[..., dict[tuple[str, int], Job]]


@pytest.fixture
def jobs(hydra: Hydra) -> Jobs:
    def make(*overrides: str, name: str = "config") -> dict[tuple[str, int], Job]:
        found = jobs_of(hydra, overrides, name)
        keyed = {(job.config["arm"], job.config["seed"]): job for job in found}
        assert len(keyed) == len(found)
        return keyed

    return make


@pytest.mark.parametrize(("overrides", "name"), [(["+sweep=mine"], "config"), ([], "mine")], ids=["+sweep", "-cn"])
def test_every_arm_with_every_seed(jobs: Jobs, hydra: Hydra, overrides: list[str], name: str) -> None:
    made = jobs(*overrides, name=name)
    assert list(made) == [(arm, seed) for arm in ("safe", "no_gate", "tuned_ppo") for seed in (0, 1)]
    safe, no_gate, ppo = (made[arm, 1].config for arm in ("safe", "no_gate", "tuned_ppo"))
    assert made["no_gate", 1].directory == Path("outputs/mine/no_gate/seed_1")
    assert (safe["controller"]["gate"]["name"], no_gate["controller"]["gate"]["name"]) == ("entropy", "none")
    assert no_gate["data"]["seed"] == 1
    # What stands beside arms wins over the algorithm's preset (4 epochs in ppo, 2 in safe), and an arm's own over that.
    assert [one["optimizer"]["epochs"] for one in (safe, no_gate, ppo)] == [3, 3, 5]
    assert (ppo["optimizer"]["lr"], ppo["updates"]) == (1e-4, 7)
    assert all("arms" not in job.config for job in made.values())
    assert is_sweep(hydra, overrides, name)


def test_the_command_line_wins(jobs: Jobs) -> None:
    made = jobs(
        "+sweep=mine", "arms=[tuned_ppo,safe]", "seed=5", "optimizer.critic_lr=1e-3", "updates=9", "experiment=e"
    )
    assert list(made) == [("tuned_ppo", 5), ("safe", 5)]
    for job in made.values():
        assert (job.config["optimizer"]["critic_lr"], job.config["updates"], job.config["experiment"]) == (1e-3, 9, "e")


def test_what_the_command_line_says_several_values_of_is_in_the_arms_name(jobs: Jobs) -> None:
    made = jobs("+sweep=free", "optimizer.critic_lr=1e-4,1e-3", "algorithm=ppo,safe", "updates=3")
    choices = product("ab", ("ppo", "safe"), ("0.0001", "0.001"))
    assert {arm for arm, _ in made} == {
        f"{arm},algorithm={one},optimizer.critic_lr={rate}" for arm, one, rate in choices
    }
    job = made["a,algorithm=safe,optimizer.critic_lr=0.001", 3]
    assert (job.config["critic"]["name"], job.config["optimizer"]["critic_lr"]) == ("double_soft_min", 1e-3)


def test_what_all_jobs_share_is_not_in_their_arms_names(jobs: Jobs) -> None:
    shared = ("policy=local", "policy.path=a/sft", "data=text", "data.path=p.txt", "reward=released_heuristic")
    two = jobs("algorithm=safe,ppo_matched", "seed=0,1", *shared)
    assert {arm for arm, _ in two} == {"safe", "ppo_matched"}
    three = jobs("algorithm=safe,ppo_matched,grpo", "seed=0", *shared)
    assert three["safe", 0].directory == two["safe", 0].directory
    assert {arm for arm, _ in jobs("algorithm=safe,ppo", "optimizer.lr=1e-4,3e-4", *shared)} == {
        f"{name},optimizer.lr={rate}" for name in ("safe", "ppo") for rate in ("0.0001", "0.0003")
    }


def test_a_sweep_over_seeds_alone_has_the_arm_of_one_run(jobs: Jobs, hydra: Hydra) -> None:
    told = "algorithm=safe", "controller/gate=none"
    one = to_job(compose(hydra, [*told]))
    assert jobs(*told, "seed=0,1")["safe,controller-gate=none", 0].directory == one.directory


def test_a_job_of_a_sweep_can_be_repeated_from_its_own_overrides(jobs: Jobs, hydra: Hydra) -> None:
    job = jobs("algorithm=safe,ppo", "optimizer.critic_lr=1e-3", "seed=0,1")["ppo", 1]
    assert to_job(compose(hydra, [*job.overrides])).config == job.config


def test_a_choice_beside_arms_wins_over_the_presets_own(jobs: Jobs) -> None:
    assert jobs("+sweep=common")["a", 0].config["controller"]["penalty"]["name"] == "linear"


def test_a_run_can_be_repeated_from_its_own_overrides(jobs: Jobs, hydra: Hydra) -> None:
    job = jobs("+sweep=mine", "arms=no_gate", "seed=1")["no_gate", 1]
    again = [*job.overrides]
    assert not is_sweep(hydra, again, "config")
    assert to_job(compose(hydra, again)).config == job.config


def test_batches_are_as_large_as_the_sweeper_says(hydra: Hydra) -> None:
    batches = expand(hydra, *shared(hydra, ["+sweep=mine", "hydra.sweeper.max_batch_size=4"], "config"))
    assert [len(batch) for batch in batches] == [4, 2]


def test_a_sweep_in_hydras_own_words_goes_on_working(jobs: Jobs, hydra: Hydra) -> None:
    assert is_sweep(hydra, ["+sweep=old"], "config")
    assert sorted(jobs("+sweep=old")) == [("ppo", 0), ("ppo", 1), ("safe", 0), ("safe", 1)]


def test_one_run_is_no_sweep(hydra: Hydra) -> None:
    assert not is_sweep(hydra, ["algorithm=safe"], "config")


def test_a_flag_that_looks_at_one_run_takes_the_first_seed(hydra: Hydra) -> None:
    assert "seed=0" in the_one(hydra, ["+sweep=mine", "arms=safe"], "config", "--info")
    with pytest.raises(ConfigError, match="--info looks at one run, got 3 different ones; choose one"):
        the_one(hydra, ["+sweep=mine"], "config", "--info")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["+sweep=mine", "arms=[no_gat]"], "arms has no 'no_gat': did you mean 'no_gate'?"),
        (["+sweep=mine", "arms=[safe"], "'arms=[safe' must be a valid override"),
        (["+sweep=mine", "arm=x"], "arm must be left out where a sweep has arms"),
        (["arms=safe"], "arms=[...] must come with a sweep that has arms, got none"),
        (
            ["+sweep=mine", "+critc=single"],
            "critc is not a key of the configuration, got 'single': did you mean 'critic'?",
        ),
        (["+sweep=mine", "+critc=a,b"], "critc is not a key of the configuration, got 'a,b': "),
        (["+sweep=unpacked"], "sweep/unpacked.yaml must begin with the line '# @package _global_', and lacks it"),
        (["+experiment=bare"], "recipe/ or experiment/bare.yaml must begin with the line '# @package _global_'"),
        (["+experiment=frist"], "recipe must be one of its options, got 'frist': did you mean 'first'?"),
        (["+sweep=mine,free"], "arms are many runs, and this is about one: give one sweep at a time"),
        (["optimizer.lr=interval(0.1,0.2)"], "interval(...) has no values for a sweep to go through: write some"),
    ],
)
def test_a_mistake_is_one_message(jobs: Jobs, overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        jobs(*overrides)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("override", "which"),
    [
        ("controller/gate=entropy", "no_gate: none"),
        ("controller/gate=entropy,none", "no_gate: none"),
        ("controller.gate.floor=1.0", "no_gate: controller/gate=none"),
        ("controller=fixed_kl", "no_gate: controller/gate=none"),
        ("optimizer.lr=1e-3", "tuned_ppo: 0.0001"),
        ("optimizer=adamw", "tuned_ppo: optimizer.lr=0.0001, tuned_ppo: optimizer.epochs=5"),
        ("~optimizer.lr", "tuned_ppo: 0.0001"),
        ("algorithm=ppo", "safe: safe, no_gate: safe, tuned_ppo: ppo"),
    ],
)
def test_what_an_arm_sets_itself_cannot_be_told(hydra: Hydra, override: str, which: str) -> None:
    # ~optimizer.lr and the like may not fit the shared configuration; arms are asked for before any job is composed.
    master, arms = shared(hydra, ["+sweep=mine"], "config")
    master.hydra.overrides.task.append(override)
    with pytest.raises(ConfigError) as error:
        expand(hydra, master, arms)
    key = override.lstrip("~").split("=")[0]
    assert str(error.value) == (
        f"{key} must be left to the arms of this sweep, which set it ({which}); "
        "choose arms without it, as arms=[...], or write an arm of your own"
    )


def test_arms_that_set_more_are_counted(hydra: Hydra) -> None:
    with pytest.raises(ConfigError, match=r"which set it \(ppo_released: ppo_released, .*, ppo: ppo and 2 more\);"):
        jobs_of(hydra, ["+sweep=demo", "algorithm=ppo"])


def test_what_only_other_arms_set_can_be_told(jobs: Jobs) -> None:
    (job,) = jobs("+sweep=mine", "arms=safe", "seed=0", "controller=fixed_kl", "optimizer.lr=1e-3").values()
    assert (job.config["controller"]["coefficient"]["name"], job.config["optimizer"]["lr"]) == ("fixed", 1e-3)


def test_an_override_that_leads_nowhere_is_told_with_its_arm(jobs: Jobs) -> None:
    with pytest.raises(ConfigError) as error:
        jobs("+sweep=odd")
    head, *lines = str(error.value).splitlines()
    assert head == "2 things are wrong:"
    assert "did you mean 'controller/gate'?" in lines[0]
    assert lines[0].endswith("(in arm=bad)")
    assert lines[1].startswith("  optimizer.lrr must be a key of the configuration, and is none: did you mean 'lr'?")
    assert lines[1].endswith("(in arm=worse)")


def test_a_sweep_that_names_no_experiment_has_its_files_name(jobs: Jobs) -> None:
    assert {job.config["experiment"] for job in jobs("+sweep=free").values()} == {"free"}
    assert {job.config["experiment"] for job in jobs("+sweep=free", "experiment=e").values()} == {"e"}
    assert {job.config["experiment"] for job in jobs("+sweep=mine").values()} == {"mine"}
    assert {job.config["experiment"] for job in jobs("+sweep=old").values()} == {"old"}


def test_a_folder_experiment_is_used_as_hydras_users_know_it(hydra: Hydra, jobs: Jobs) -> None:
    one = to_job(compose(hydra, ["+experiment=first"]))
    assert (one.config["experiment"], one.config["arm"], one.config["optimizer"]["epochs"]) == ("first", "ppo", 7)
    assert to_job(compose(hydra, ["+experiment=first", "experiment=mine"])).config["experiment"] == "mine"
    assert to_job(compose(hydra, ["experiment=mine"])).config["experiment"] == "mine"
    with pytest.raises(ConfigError, match=r"there is a file of that name: add it with \+experiment=first"):
        compose(hydra, ["experiment=first"])
    many = jobs_of(hydra, ["+experiment=first,second", "seed=0,1"])
    assert [job.directory for job in many] == [
        Path("outputs", folder, arm, f"seed_{seed}")
        for folder, arm in (("first", "ppo"), ("named", "safe"))
        for seed in (0, 1)
    ]
    assert [job.config["optimizer"]["epochs"] for job in many] == [7] * 4
    assert jobs("+experiment=second", "+sweep=free")["a", 3].config["experiment"] == "named"
    assert "paper_main" in hydra.config_loader.get_group_options("recipe")
    assert {"first", "second"} <= {*hydra.config_loader.get_group_options("recipe")}


def test_arms_that_are_told_the_same_are_named_once(jobs: Jobs) -> None:
    assert alike([*jobs("+sweep=twins").values()]) == [
        "the arms a, b are told the same, so their runs will have the same rows"
    ]
    assert alike([*jobs("+sweep=mine").values()]) == []


@pytest.mark.parametrize("overrides", [["seed=range(3,3)"], ["+sweep=mine", "seed=range(3,3)"]])
def test_a_sweep_over_no_value_is_refused(jobs: Jobs, overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^seed must have at least one value in a sweep, got range\(3,3\)"):
        jobs(*overrides)


def test_every_run_of_a_study_knows_the_baseline_that_it_names(hydra: Hydra) -> None:
    assert [job.config["baseline"] for job in jobs_of(hydra, ["+sweep=named"])] == ["a", "a"]
    assert [job.config["baseline"] for job in jobs_of(hydra, ["+sweep=named", "arms=[b]"])] == ["a"]
    assert [job.config["baseline"] for job in jobs_of(hydra, ["algorithm=ppo,safe", "baseline=ppo"])] == ["ppo"] * 2
    assert [job.config["baseline"] for job in jobs_of(hydra, ["+sweep=mine", "seed=0"])] == [None] * 3


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+sweep=astray"], "baseline must be an arm of this sweep, got 'aa'; did you mean 'a'? known: a, b"),
        (["+sweep=mine", "baseline=sage"], "got 'sage'; did you mean 'safe'? known: no_gate, safe, tuned_ppo"),
        (["algorithm=ppo,safe", "baseline=pp"], "got 'pp'; did you mean 'ppo'? known: ppo, safe"),
    ],
)
def test_a_baseline_that_is_no_arm_is_refused(hydra: Hydra, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs_of(hydra, overrides)
    assert said in str(caught.value)
