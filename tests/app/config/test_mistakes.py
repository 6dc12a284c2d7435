"""What bad input gets: one message with key, rule, value and remedy, exit code 2, no traceback, nothing created."""

from pathlib import Path

import pytest

from support.commands import Done, call, call_here

MISTAKES = {
    "unknown option": (["algorithm=saef"], "algorithm must be one of its options, got 'saef': did you mean 'safe'?"),
    "unknown nested option": (["controller/gate=entrop"], "controller/gate must be one of its options, got 'entrop': "),
    "unknown key": (["optimizer.lrr=1"], "optimizer.lrr must be a key of the configuration, and is none: "),
    "unknown key, nearest": (["optimizer.lrr=1"], "did you mean 'lr'?"),
    "unknown top-level key": (["optimzer.lr=1"], "optimzer is unknown; did you mean 'optimizer'?"),
    "unknown group": (["controller/gat=none"], "did you mean 'controller/gate'?"),
    "added unknown key": (["+critc=single"], "critc is not a key of the configuration, got 'single': did you mean"),
    "added unknown key in an option": (["+optimizer.lrate=1"], "optimizer.lrate must be a key of optimizer"),
    "added group": (["+algorithm=safe"], "algorithm has an option already; change it with algorithm=..."),
    "deleted unknown": (["~nothing"], "~nothing: there is no such key or group to delete"),
    "deleted group": (["~critic"], "critic must be one of its options, got None"),
    "type": (["optimizer.lr=abc"], "optimizer.lr must be a valid number, got 'abc'"),
    "type of a top-level key": (["seed=one"], "seed must be a valid integer, got 'one'"),
    "a number for an option": (["algorithm=1"], "algorithm must be one of its options, got 1: known: "),
    "range": (["optimizer.lr=-1"], "optimizer.lr must be > 0"),
    "range of a nested option": (["checkpoint.keep=0"], "checkpoint.keep must be >= 1, got 0"),
    "choice": (["critic.read_at=nowhere"], "critic.read_at must be "),
    "infinite": (["optimizer.lr=.inf"], "optimizer.lr must be "),
    "parts that do not fit": (["advantage=gae", "critic.read_at=prompt_end"], "critic.read_at must be per_token"),
    "pairs without a loss": (["pairs=world"], "preference must be one of its options with pairs=world"),
    "a loss without pairs": (["preference=dpo"], "pairs must be one of its options with preference=dpo"),
    "too many minibatches": (["optimizer.minibatches=9999"], "optimizer.minibatches must be at most"),
    "value where keys are": (["optimizer=3"], "optimizer must be one of its options, got 3"),
    "keys where a value is": (["seed.x=1"], "seed is a value, not a group of keys"),
    "no value": (["policy=local", "world=small"], "policy.path must be given, it has no default: add policy.path=..."),
    "interpolation": (["optimizer.lr=${nowhere}"], "optimizer.lr: Interpolation key 'nowhere' not found"),
    "a name of TRL's": (["learning_rate=1e-4"], "is none: did you mean optimizer.lr?"),
    "a name of verl's": (["+actor_rollout_ref.rollout.temperature=1"], "did you mean rollout.sampling_temperature?"),
    "a key without its group": (["lr=1e-4"], "lr must be a key of the configuration, and is none: did you mean optimi"),
    "a slip in a known name": (["optimizer.critic_l=1"], "did you mean 'critic_lr'?"),
    "a key of another option": (["policy.path=x"], "policy has another option here; add policy=local (so have "),
    "a key of another nested option": (["policy.adapter.rank=8"], "add policy/adapter=lora (so have lora_head, "),
    "tags at the top": (["+tags=[a]"], "tags is not a key of the configuration, got ['a']: did you mean tracker.tags?"),
    "a note at the top": (["-m", "+note=a", "seed=0,1"], "did you mean tracker.notes?"),
    "a function with a dot": (["reward=function", "reward.name=m.f"], "write 'reward=function reward.name=m:f'"),
    "a function without its option": (
        ["reward.name='support.runs:share_of_good'"],
        "reward.name=support.runs:share_of_good must come with reward=function, got the keys of another option (",
    ),
    "no equals sign": (["safe"], "'safe' must be key=value, as in algorithm=safe"),
    "grammar": (["optimizer.lr=[1"], "'optimizer.lr=[1' must be a valid override"),
    "sweep without -m": (["seed=0,1"], "seed=0,1 names several values: add -m"),
    "device": (["device=tpu"], "device must be cpu, cuda, cuda:N, mps or auto, got 'tpu'"),
    "GPU that is not there": (["device=cuda:99"], "device must be here, got 'cuda:99'"),
    "folder name": (["arm=a/b"], "arm must be the name of one folder (text without slashes), got 'a/b'"),
    "folder name that climbs": (["experiment=.."], "experiment must be the name of one folder"),
    "function of no module": (["reward=function", "reward.name=nowhere:f"], "no module 'nowhere'"),
    "function without its name": (["reward=function"], "reward.name must be given"),
    "guard": (["guard=stop", "guard.metrics=[]"], "guard.metrics "),
    "launcher": (["-m", "seed=0,1", "hydra/launcher=lokal"], "hydra/launcher must be one of its options, got 'lokal'"),
    "launcher's key": (
        ["-m", "seed=0,1", "hydra.launcher.workers=many"],
        "Value 'many' of type 'str'",
    ),
    "a folder by Hydra's key": (["hydra.run.dir=x"], "hydra.run.dir has no effect here, got x: a run's folder is "),
    "a folder by Hydra's key, many": (["-m", "hydra.sweep.dir=x", "seed=0,1"], "hydra.sweep.dir has no effect here, "),
    "Hydra's other keys": (
        ["hydra.job.chdir=true", "hydra.output_subdir=h"],
        "error: 2 things are wrong:\n  hydra.output_subdir has no effect here, got h: ",
    ),
    "any key of Hydra's": (["hydra.help.app_name=x"], "hydra.help.app_name has no effect here, got x: leave it out"),
    "any group of Hydra's": (["hydra/job_logging=stdout"], "hydra.job_logging has no effect here, got stdout: "),
    "a launcher without -m": (["hydra/launcher=basic"], "hydra/launcher=basic must come with -m"),
    "flag": (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    "flags that exclude each other": (["--cfg", "all", "-m"], "exclude each other"),
    "config directory": (["--config-dir", "nowhere"], "--config-dir must be an existing directory, got nowhere"),
    "config name": (["-cn", "nope"], "there is no configuration named 'nope'"),
    "an arm that is not there": (["+sweep=demo", "arms=[saef]"], "arms has no 'saef': did you mean 'safe'? known: "),
    "arms of no sweep": (["-m", "arms=safe"], "arms=[...] must come with a sweep that has arms, got none"),
    "one run of a sweep": (["+sweep=demo", "arm=x"], "arm must be left out where a sweep has arms"),
    "a key that an arm sets": (
        ["-m", "+sweep=ablate_controller", "controller/gate=entropy"],
        "error: controller/gate must be left to the arms of this sweep, which set it (no_controller: controller=none, "
        "fixed_kl: controller=fixed_kl, no_gate: none and 2 more); choose arms without it, as arms=[...], or write an ",
    ),
    "a former group": (
        ["-m", "+sweep=ablate_controller", "+change=no_gate"],
        "error: change is no group any more: write the override itself (controller/gate=none), or an arm of a sweep: "
        "+sweep=ablate_controller arms=no_gate\n",
    ),
    "a former group, several": (
        ["-m", "+tuned=safe,ppo"],
        "error: tuned is no group any more: its settings are the arms of a sweep: +sweep=baselines arms=safe\n",
    ),
    "a former group, one run": (["stability=safe"], "error: stability is no group any more: "),
    "option of a nested group": (
        ["controller/gate=mine"],
        "error: controller/gate must be one of its options, got 'mi",
    ),
    "sweep preset": (["+sweep=dmeo"], "sweep must be one of its options, got 'dmeo': did you mean 'demo'?"),
}


def assert_is_one_message(done: Done, told: str) -> None:
    assert done.code == 2, done
    assert done.err.startswith("error: ")
    assert told in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert done.made == []


@pytest.mark.parametrize(("arguments", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake(tmp_path: Path, monkeypatch, capfd, arguments: list[str], told: str) -> None:
    assert_is_one_message(call_here(tmp_path, monkeypatch, capfd, "train", *arguments), told)


def test_all_faults_come_in_one_message(tmp_path: Path, monkeypatch, capfd) -> None:
    faults = ["seed=-1", "updates=0", "optimizer.lr=abc", "rollout.batch_size=1"]
    done = call_here(tmp_path, monkeypatch, capfd, "train", *faults)
    assert_is_one_message(done, "error: 4 things are wrong:\n")
    assert all(key in done.err for key in ("seed must", "updates must", "optimizer.lr must", "rollout.batch_size must"))


def test_in_a_process_of_its_own_too(tmp_path: Path) -> None:
    assert_is_one_message(call(tmp_path, "train", "algorithm=saef"), "did you mean 'safe'?")


def test_every_job_of_a_sweep_is_checked_before_the_first_starts(tmp_path: Path, monkeypatch, capfd) -> None:
    arguments = ["train", "-m", "algorithm=ppo,safe", "seed=0,1", "optimizer.lr=1e-4,-1"]
    done = call_here(tmp_path, monkeypatch, capfd, *arguments)
    assert_is_one_message(done, "optimizer.lr must be > 0")
    assert done.err.count("optimizer.lr must be") == 1
    assert (
        "(in ppo,optimizer.lr=-1 seed 0, ppo,optimizer.lr=-1 seed 1, safe,optimizer.lr=-1 seed 0 and 1 more)"
        in done.err
    )


def test_jobs_of_a_sweep_that_cannot_be_composed_are_named(tmp_path: Path, monkeypatch, capfd) -> None:
    done = call_here(tmp_path, monkeypatch, capfd, "train", "-m", "algorithm=ppo,saef,safe")
    assert_is_one_message(done, "got 'saef': did you mean 'safe'?")
    assert "(in algorithm=saef)" in done.err


def test_two_jobs_in_one_directory(tmp_path: Path, monkeypatch, capfd) -> None:
    done = call_here(tmp_path, monkeypatch, capfd, "train", "-m", "arm=x", "algorithm=ppo,safe")
    assert_is_one_message(done, "2 jobs of this sweep would write outputs/default/x/seed_0: ")
    assert "give them different arm, seed or experiment" in done.err


def test_an_output_directory_that_is_a_file(tmp_path: Path, monkeypatch, capfd) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = call_here(empty, monkeypatch, capfd, "train", f"output_dir={taken}")
    assert_is_one_message(
        done, f"output_dir must lead to a directory, got {taken}/default/ppo/seed_0: {taken} is a file"
    )


def test_an_output_directory_without_permission(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("safelab.app.config.jobs.os.access", lambda path, mode: False)  # root may write everywhere
    done = call_here(tmp_path, monkeypatch, capfd, "train", "output_dir=there")
    assert_is_one_message(done, "output_dir must be writable, got there/default/ppo/seed_0: no permission in .")


def test_a_yaml_file_of_the_users_that_is_none(tmp_path: Path, monkeypatch, capfd) -> None:
    groups = tmp_path / "mine"
    (groups / "critic").mkdir(parents=True)
    (groups / "critic" / "odd.yaml").write_text("name: [single\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = call_here(empty, monkeypatch, capfd, "train", "--config-dir", str(groups), "critic=odd")
    assert_is_one_message(done, "a configuration file must be valid YAML: ")
    assert "odd.yaml" in done.err
