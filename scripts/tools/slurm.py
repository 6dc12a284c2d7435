"""A real SLURM of two nodes on this machine, from Debian's packages, unpacked into a folder: nothing is installed.

    python -m scripts.tools.slurm .slurm                       # unpack only; what `make test` does
    python -m scripts.tools.slurm .slurm -- sinfo              # start it, run a command with it, end it

Where SLURM is installed, that one is used, and nothing is unpacked.
"""

import argparse
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PACKAGES = (
    "libhwloc15", "liblua5.1-0", "libmunge2", "munge", "slurm-client", "slurm-wlm-basic-plugins", "slurmctld", "slurmd",
)  # fmt: skip
"""Of Debian: SLURM, and what it needs that a plain system does not have."""

APT = ("-qq", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1")

NODES = ("n1", "n2")

CONFIGURATION = """
ClusterName=safelab_test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
# A job that is queued again waits for so long: two minutes without this, and five seconds are the least
AuthInfo=cred_expire=5
CredType=cred/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmctldPidFile={state}/ctld.pid
SlurmctldLogFile={state}/ctld.log
StateSaveLocation={state}/ctld
SlurmdPidFile={state}/%n.pid
SlurmdLogFile={state}/%n.log
SlurmdSpoolDir={state}/%n
{plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
SlurmdTimeout=4
InactiveLimit=0
KillWait=5
MinJobAge=60
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=1 PreemptMode=REQUEUE
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10
"""


def unpack(folder: Path) -> str | None:
    """Have SLURM in ``folder``, unless it is there or installed; why it cannot be had, if so."""
    if shutil.which("slurmctld") or (folder / "root").is_dir():
        return None
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return "there is neither SLURM nor apt-get here"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        packages, root = Path(scratch, "packages"), Path(scratch, "root")
        packages.mkdir()
        # Where the system has no lists of packages, or old ones, new ones are made beside them.
        lists = [f"-oDir::State::Lists={scratch}/lists", f"-oDir::Cache={scratch}/cache"]
        for words in (["download", *PACKAGES], ["update", *lists], ["download", *PACKAGES, *lists]):
            done = subprocess.run(
                ["apt-get", *APT, *words], cwd=packages, capture_output=True, text=True, check=False, timeout=300
            )
            if words[0] == "download" and done.returncode == 0:
                break
        else:
            return f"apt-get cannot download its packages: {(done.stderr.strip() or 'no reason given').splitlines()[0]}"
        for package in sorted(packages.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
        root.rename(folder / "root")
    return None


class Cluster:
    """A controller and two nodes with one core each, as processes of this user, on loopback only.

    Args:
        packages: where ``unpack`` has put SLURM.
        folder: for its state and its configuration; is made.
    """

    def __init__(self, packages: Path, folder: Path) -> None:
        self.folder, self._root = folder, packages.absolute() / "root"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = dict(os.environ, SLURM_CONF=str(folder / "slurm.conf"))
        plugins = ""
        if self._root.is_dir():
            libraries = next(self._root.glob("usr/lib/*/slurm-wlm"), self._root)
            self.environment["LD_LIBRARY_PATH"] = f"{libraries.parent}:{libraries}"
            self.environment["PATH"] = f"{self._root}/usr/bin:{self._root}/usr/sbin:{os.environ['PATH']}"
            plugins = f"PluginDir={libraries}"
        for name in ("ctld", *NODES):
            (folder / name).mkdir(parents=True, exist_ok=True)
        told = CONFIGURATION.format(user=getpass.getuser(), ports=free_ports(3), state=folder, plugins=plugins)
        (folder / "slurm.conf").write_text(told)

    def start(self) -> None:
        """Start all of it, and wait until both nodes are idle.

        Raises:
            RuntimeError: they are not, with what the controller said.
        """
        self._run("ctld", self._binary("slurmctld"), "-D")
        for node in NODES:
            self.start_node(node)
        self.wait_for(lambda: self.call("sinfo", "-h", "-t", "idle", "-o", "%D") == "2")

    def start_node(self, node: str) -> None:
        """Start one of them."""
        self._run(node, self._binary("slurmd"), "-D", "-N", node, "-d", self._binary("slurmstepd"))

    def kill_node(self, node: str) -> None:
        """Let it die with everything that runs there, as a machine does that loses its power."""
        dead = self._processes.pop(node)
        descendants = [dead.pid]
        for pid in descendants:
            children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
            descendants += map(int, children.stdout.split())
        # What slurmd has started lives on without it: slurmstepd, by the node's name on its command line.
        steps = subprocess.run(["pgrep", "-f", f"slurmstepd.*{node}"], capture_output=True, text=True)
        for pid in [*descendants, *map(int, steps.stdout.split())]:
            subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)
        dead.wait()

    def call(self, *words: str) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return (done.stdout + done.stderr).strip()

    def wait_for(self, holds, seconds: float = 20.0) -> None:
        """Until ``holds()``.

        Raises:
            RuntimeError: it never did.
        """
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                said = [path.read_text()[-1000:] for path in (self.folder / "ctld.out", self.folder / "n1.out")]
                raise RuntimeError("SLURM: " + self.call("sinfo") + "\n".join(said))
            time.sleep(0.1)

    def stop(self) -> None:
        """End all jobs, then all of it."""
        self.call("scancel", "--user", getpass.getuser())
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _binary(self, name: str) -> str:
        """The path of a daemon, which Debian gives a name of its own."""
        for place in (self._root / "usr/sbin", Path("/usr/sbin")):
            for path in (place / f"{name}-wlm", place / name):
                if path.exists():
                    return str(path)
        return shutil.which(name) or name

    def _run(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                words, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 if SLURM can be had here, else 1; with a command, the command's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where SLURM is, or is put")
    parser.add_argument("command", nargs="*", help="what to run while it is up")
    flags = parser.parse_args(arguments)
    if why := unpack(flags.folder):
        print(f"SLURM cannot be had, its tests will be skipped: {why}")
        return 1
    if not flags.command:
        return 0
    with tempfile.TemporaryDirectory(prefix="safelab-slurm-") as state:
        cluster = Cluster(flags.folder, Path(state))
        try:
            cluster.start()
            return subprocess.run(flags.command, env=cluster.environment, check=False).returncode
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
