"""A real SLURM on the loopback interface, started for a test and gone after it.

Usage: local_slurm.py COMMAND …   runs COMMAND with such a cluster; its exit status is COMMAND's.

Everything lies in one temporary folder, nothing under /etc. The daemons are children of this
process and end with it, however it ends. Job steps over their memory are killed by sampling
(once a second), so no control groups are needed.
"""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
ACCOUNTING_DAEMONS = ("slurmdbd", "mariadbd", "mariadb-install-db")
CLIENTS = (
    *("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun", "sshare"),
)
ADMIN_FOLDERS = "/usr/sbin:/sbin"
WAIT_S = 180
NODE_TIMEOUT_S = 15

SLURM_CONF = """
ClusterName=relapsescope
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
MpiDefault=none
SlurmdTimeout={node_timeout}
KillWait=3
MinJobAge=3600
ReturnToService=2
JobRequeue=0
EnforcePartLimits=ALL
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed
GresTypes=gpu
"""
ACCOUNTING_CONF = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.sock
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
"""
SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser={user}
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CommitDelay=1
"""


def missing_programs(*, accounting: bool = False) -> list[str]:
    """Return the programs that a local cluster needs and that are not installed."""
    wanted = (*DAEMONS, *CLIENTS, *(ACCOUNTING_DAEMONS if accounting else ()))
    return [name for name in wanted if _program(name) is None]


class LocalSlurm:
    """A cluster of virtual nodes `n1`, `n2`, … that share this machine.

    Partitions: `main` (all nodes), `short` (all nodes, 5 minutes), `gpu` (the last node, which
    has one GPU that is none).

    Parameters
    ----------
    memory_mb
        What each node advertises, whatever the machine has.
    own_cpus
        Whether the nodes divide the machine's CPUs among them, as timings need it: jobs are bound
        to CPUs, and every node begins with the first. Else each node has all, two at least, and
        more jobs run at a time.
    accounting
        Whether `sacct` works, as the executor's efficiency report needs it.
    nice
        Niceness of all jobs.
    """

    def __init__(
        self,
        *,
        nodes: int = 2,
        memory_mb: int = 6000,
        accounting: bool = False,
        own_cpus: bool = False,
        nice: int = 5,
    ) -> None:
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.memory_mb, self.accounting, self.nice = memory_mb, accounting, nice
        self.own_cpus = own_cpus
        self.folder = Path()
        self._processes: dict[str, subprocess.Popen] = {}
        self._ports = dict(
            zip(
                ("controller_port", "accounting_port", "database_port", *self.nodes),
                _free_ports(nodes + 3),
                strict=True,
            )
        )

    def __enter__(self) -> "LocalSlurm":
        # Paths of sockets end at 107 characters, which a test's own folder may exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        try:
            self._configure()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which SLURM's commands talk to this cluster."""
        return {
            **{name: value for name, value in os.environ.items() if "SLURM" not in name},
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
        }

    def ask(self, *command: str, check: bool = True) -> str:
        """Return what a SLURM command prints."""
        found = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if check and found.returncode:
            raise RuntimeError(f"{' '.join(command)}: {found.stderr.strip()}")
        return found.stdout.strip()

    def completed(self) -> list[dict[str, str]]:
        """Return the jobs that have ended, as SLURM's job completion file has them."""
        text = (self.folder / "completed").read_text(encoding="utf-8", errors="replace")
        return [
            dict(field.split("=", 1) for field in line.split() if "=" in field)
            for line in text.splitlines()
        ]

    def running(self) -> dict[str, tuple[str, str]]:
        """Return node and comment of each running job by its number."""
        lines = self.ask("squeue", "-h", "-t", "R", "-o", "%A %N %k").splitlines()
        return {line.split()[0]: tuple(line.split(" ", 2)[1:]) for line in lines}

    def comments(self) -> dict[str, str]:
        """Return the comment (the executor's name for the work) of every job by its number."""
        lines = self.ask("squeue", "-h", "-t", "all", "-o", "%A %k").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def kill_node(self, node: str) -> None:
        """End a node's daemon and all of its jobs at once, as a power cut does."""
        daemon = self._processes.pop(node)
        daemon.kill()
        daemon.wait()
        # Who tells the controller of a job's end dies first.
        for pid in self._job_processes(node):
            _kill(pid)

    def revive_node(self, node: str) -> None:
        """Start a killed node again and wait until it takes jobs."""
        self._launch(node, "slurmd", "-D", "-N", node)
        self._await_nodes()

    def stop(self) -> None:
        """Cancel all jobs, end the daemons, remove the folder."""
        if "slurmctld" in self._processes:
            user = pwd.getpwuid(os.getuid()).pw_name
            self.ask("scancel", "--user", user, "--signal=KILL", "--full", check=False)
            self.ask("scancel", "--user", user, check=False)
            until = time.monotonic() + 15
            while self.ask("squeue", "-h", check=False) and time.monotonic() < until:
                time.sleep(0.3)
        for node in self.nodes:
            for pid in self._job_processes(node):
                _kill(pid)
        # The last started depend on the first.
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _job_processes(self, node: str) -> list[int]:
        """Return the processes of a node's jobs, those that watch over them first."""
        watchers, workers = [], []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                of_parent = (Path("/proc") / str(parent) / "comm").read_text()
            except OSError:
                continue
            ours = any(bytes(self.folder) in variable for variable in variables)
            if ours and f"SLURMD_NODENAME={node}".encode() in variables:
                workers.append(int(folder.name))
                if of_parent.startswith("slurmstepd"):
                    watchers.append(parent)
        return [*watchers, *workers]

    def _configure(self) -> None:
        host = socket.gethostname().split(".")[0]
        values = {"folder": self.folder, "host": host, "user": pwd.getpwuid(os.getuid()).pw_name}
        values |= {**self._ports, "node_timeout": NODE_TIMEOUT_S}
        for name in ("state", "bin", *self.nodes):
            (self.folder / name).mkdir()
        (self.folder / "completed").touch()
        self.folder.chmod(0o755)
        text = SLURM_CONF.format(**values)
        if self.accounting:
            text += ACCOUNTING_CONF.format(**values)
            self._write("slurmdbd.conf", SLURMDBD_CONF.format(**values), mode=0o600)
        cpus = max(os.cpu_count() or 1, 2)
        for number, node in enumerate(self.nodes):
            others = [cpu for cpu in range(cpus) if cpu % len(self.nodes) != number]
            text += (
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 "
                f"Port={self._ports[node]} CPUs={cpus} RealMemory={self.memory_mb}"
                f"{' CpuSpecList=' + ','.join(map(str, others)) if self.own_cpus else ''}"
                f"{' Gres=gpu:1' if node == self.nodes[-1] else ''}\n"
            )
        everywhere = f"Nodes={','.join(self.nodes)} DefMemPerCPU=500 State=UP"
        text += f"PartitionName=main Default=YES MaxTime=1-00:00:00 DefaultTime=10 {everywhere}\n"
        text += f"PartitionName=short MaxTime=5 DefaultTime=5 {everywhere}\n"
        text += f"PartitionName=gpu MaxTime=1-00:00:00 Nodes={self.nodes[-1]} State=UP\n"
        self._write("slurm.conf", text)
        # Without control groups nothing opens the device.
        self._write("gres.conf", f"NodeName={self.nodes[-1]} Name=gpu File=/dev/null\n")
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        # The executor's job step drops every SLURM_* variable before it calls srun.
        for name in CLIENTS:
            call = f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {_program(name)} "$@"\n'
            self._write(f"bin/{name}", call, mode=0o755)

    def _write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def _start(self) -> None:
        socket_path = self.folder / "munge.sock"
        munged = ("--foreground", f"--key-file={self.folder}/munge.key", f"--socket={socket_path}")
        munged += (f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munge.seed")
        munged += (f"--log-file={self.folder}/munged.log", "--force")
        self._launch("munged", "munged", *munged)
        self._await("munged", ["munge", "-n", "-S", str(socket_path)])
        if self.accounting:
            self._start_accounting()
        self._launch("slurmctld", "slurmctld", "-D")
        self._await("slurmctld", ["scontrol", "ping"])
        for node in self.nodes:
            self._launch(node, "slurmd", "-D", "-N", node)
        self._await_nodes()

    def _start_accounting(self) -> None:
        data, user = self.folder / "database", pwd.getpwuid(os.getuid()).pw_name
        subprocess.run(
            [
                *(_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"),
                *(f"--user={user}", "--skip-test-db", "--skip-name-resolve"),
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            capture_output=True,
        )
        self._write(
            "grant.sql",
            "CREATE DATABASE slurm_acct_db;\n"
            "CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';\n"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n",
        )
        port = self._ports["database_port"]
        self._launch(
            "mariadbd",
            *("mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}"),
            *(f"--socket={self.folder}/db.sock", f"--port={port}", "--bind-address=127.0.0.1"),
            *("--skip-name-resolve", f"--init-file={self.folder}/grant.sql"),
            *("--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"),
            "--innodb-flush-log-at-trx-commit=0",
        )
        self._until("mariadbd", lambda: not _port_is_free(port))
        self._launch("slurmdbd", "slurmdbd", "-D")
        self._await("slurmdbd", ["sacctmgr", "-n", "list", "cluster"])
        for command in ("cluster relapsescope", "account lab", f"user {user} account=lab"):
            self.ask("sacctmgr", "-i", "add", *command.split())

    def _launch(self, name: str, program: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self._processes[name] = subprocess.Popen(
                [_program(program), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: _die_with_parent(self.nice if name in self.nodes else 0),
            )

    def _await_nodes(self) -> None:
        def all_idle() -> bool:
            lines = self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t").splitlines()
            return sorted(lines) == [f"{node} idle" for node in self.nodes]

        self._until(self.nodes[-1], all_idle)

    def _await(self, name: str, command: list[str]) -> None:
        def answers() -> bool:
            found = subprocess.run(command, env=self.environment, capture_output=True)
            return found.returncode == 0

        self._until(name, answers)

    def _until(self, name: str, ready) -> None:
        until = time.monotonic() + WAIT_S
        while not ready():
            if self._processes[name].poll() is not None or time.monotonic() > until:
                logs = [self.folder / f"{name}.{kind}" for kind in ("out", "log")]
                said = "\n".join(p.read_text(errors="replace")[-2000:] for p in logs if p.exists())
                raise RuntimeError(f"{name} did not start:\n{said}")
            time.sleep(0.2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:{ADMIN_FOLDERS}")


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _die_with_parent(nice: int) -> None:
    os.nice(nice)
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main(command: list[str]) -> int:
    """Run a command with a cluster of two nodes, and accounting where it is installed."""
    accounting = not missing_programs(accounting=True)
    with LocalSlurm(accounting=accounting, own_cpus=True) as cluster:
        return subprocess.run(command, env=cluster.environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
