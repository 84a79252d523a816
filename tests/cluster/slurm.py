"""A SLURM cluster of two nodes on this machine, for as long as a test needs it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = "127.0.0.1", "127.0.0.2"  # names that resolve without being written anywhere
PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel"
# GPUs are plain files; a node that is silent for 3 s is down, which takes 20
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
SlurmdTimeout=3
MessageTimeout=5
TCPTimeout=1
KillWait=10
MpiDefault=none
GresTypes=gpu
NodeName={nodes[0]} NodeAddr={nodes[0]} Port={ports[1]} CPUs=16 Gres=gpu:8
NodeName={nodes[1]} NodeAddr={nodes[1]} Port={ports[2]} CPUs=16 Gres=gpu:8
PartitionName=tests Nodes=ALL Default=YES
"""


def what_is_missing() -> str:
    """Why there can be no cluster here; "": there can."""
    missing = [name for name in PROGRAMS if not find(name)]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.getuid() == 0 else "needs root, as slurmd does"


def find(program: str) -> str | None:
    """Where a program lies; a user's PATH may lack the folders of daemons."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Starts the daemons; a context manager that ends all that ran on it.

    Attributes:
        folder: Of its sockets, logs and state.
        environment: Of programs that are to talk to it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self):
        try:
            self._configure()
            socket_path = self.folder / "munge.socket"
            files = {"key": "munge.key", "pid": "munge.pid", "log": "munged.log"}
            options = [f"--{k}-file={self.folder / v}" for k, v in files.items()]
            options.append(f"--seed-file={self.folder / 'munge.seed'}")
            self._start("munged", "-F", "--force", f"-S{socket_path}", *options)
            self.wait(socket_path.exists, "munged")
            self._start("slurmctld", "-D")
            for node in NODES:
                self.start_node(node)
            idle = ["sinfo", "-h", "-t", "idle", "-o", "%D"]
            self.wait(lambda: self.run(*idle, check=False) == "2", "two idle nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Ends every process that knows of this cluster, those of jobs included."""
        deadline = time.monotonic() + 10
        while processes := [process for process, _ in self._environments()]:
            for process in processes:
                with_suppressed(os.kill, process, signal.SIGKILL)
            for daemon in self._daemons.values():
                daemon.poll()
            assert time.monotonic() < deadline, f"{processes} do not end"
        for daemon in self._daemons.values():
            daemon.wait()

    def _configure(self) -> None:
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        for number in range(8):
            (self.folder / f"gpu{number}").touch()
        values = {"host": socket.gethostname().split(".")[0], "nodes": NODES}
        text = CONFIGURATION.format(folder=self.folder, ports=free_ports(3), **values)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text(
            f"NodeName={','.join(NODES)} Name=gpu File={self.folder}/gpu[0-7]\n"
        )
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")

    def _start(self, program: str, *arguments: str, env=None) -> subprocess.Popen:
        with (self.folder / f"{program}.out").open("a") as log:
            process = subprocess.Popen(
                [find(program) or program, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=env or self.environment,
                cwd=self.folder,
            )
        self._daemons[" ".join((program, *arguments))] = process
        return process

    def start_node(self, node: str) -> None:
        """Starts the daemon of a node."""
        environment = {**self.environment, "TESTS_NODE": node}
        self._start("slurmd", "-D", "-N", node, env=environment)

    def kill_node(self, node: str) -> None:
        """Kills the daemon of a node; what it has started lives on."""
        self._kill(node, lambda process: process == self._daemon(node).pid)

    def clear_node(self, node: str) -> None:
        """Kills what a daemon has left behind, as a new start of the machine would."""
        self._kill(node, lambda _: True)

    def _daemon(self, node: str) -> subprocess.Popen:
        return self._daemons[f"slurmd -D -N {node}"]

    def _kill(self, node: str, is_meant) -> None:
        for process, environment in self._environments():
            names = environment.get("TESTS_NODE"), environment.get("SLURMD_NODENAME")
            if node in names and is_meant(process):
                with_suppressed(os.kill, process, signal.SIGKILL)
        self._daemon(node).wait()

    def run(self, *command: str, check: bool = True, **options) -> str:
        """What a program says; it must end with 0 if it is to be checked."""
        result = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )
        assert not check or result.returncode == 0, (command, result.stderr)
        return result.stdout.strip()

    def submit(self, *arguments: str, folder: Path, env: dict[str, str]) -> str:
        """Submits launch/slurm.sbatch as it is; returns the job's number.

        Args:
            *arguments: Options of sbatch, the name of the script, its arguments.
            folder: That the job runs in.
            env: What is to be set in its environment.
        """
        environment = {**self.environment, **env}
        result = subprocess.run(
            ["sbatch", "--parsable", f"--chdir={folder}", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What SLURM knows of a job, by field, as of `job(number)["JobState"]`."""
        words = self.run("scontrol", "-o", "show", "job", number).split()
        return dict(word.partition("=")[::2] for word in words)

    def wait_for(
        self, number: str, *, seconds: float = 100.0, **fields: object
    ) -> None:
        """Waits until fields of a job are so, as of `wait_for(job, Restarts=1)`."""
        wanted = {name: str(value) for name, value in fields.items()}
        self.wait(
            lambda: wanted.items() <= self.job(number).items(),
            f"job {number}, which is {self.job(number)}, to be {wanted}",
            seconds,
        )

    def start_again(self, number: str, restarts: int, seconds: float = 100.0) -> None:
        """Waits until a job is queued again, and starts it before two minutes pass.

        Not in the second of its end, when SLURM refuses what it takes for the old one.
        """
        self.wait_for(number, JobState="PENDING", Restarts=restarts, seconds=seconds)
        self.run("scontrol", "update", f"JobId={number}", "StartTime=now+2")

    def tasks(self, number: str) -> list[int]:
        """Process ids of the Python programs of a job, in the order of their tasks."""
        found = {}
        for process, environment in self._environments():
            if environment.get("SLURM_JOB_ID") != number:
                continue
            if "SLURM_PROCID" in environment and is_python(process):
                found[int(environment["SLURM_PROCID"])] = process
        return [found[task] for task in sorted(found)]

    def _environments(self):
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                text = path.read_bytes().decode(errors="replace")
            except OSError:  # it has ended
                continue
            environment = dict(x.partition("=")[::2] for x in text.split("\0") if x)
            if environment.get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                yield int(path.parent.name), environment

    def wait(self, is_there, what: str, seconds: float = 30.0) -> None:
        """Waits until a function is true."""
        deadline = time.monotonic() + seconds
        while not is_there():
            assert time.monotonic() < deadline, f"{what}: see {self.folder}"
            time.sleep(0.05)


def is_python(process: int) -> bool:
    """Whether a process runs the interpreter of the tests."""
    try:
        program = os.readlink(f"/proc/{process}/exe")
    except OSError:
        return False
    return program == os.path.realpath(sys.executable)


def with_suppressed(function, *arguments) -> None:
    """Calls a function; that a process has ended meanwhile is no error."""
    try:
        function(*arguments)
    except ProcessLookupError:
        pass
