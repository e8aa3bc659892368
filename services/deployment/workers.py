"""What a worker of a profile needs of the machine it runs on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import BadInput
from shared.groups import CONTROL, groups, node_name, planned_gpu, planned_mib, workers
from shared.passes import AT_ONCE
from tasks.celery import PRIORITIES, app
from tasks.devices import CONTEXT_MIB
from tasks.plan import GRACE_SECONDS

PARENT_MIB = 512
"""Of the worker's parent process and the kernel's part; the child's own bound stands in groups.toml."""

MEDIA_MIB = 3072
"""REELGRAPH_MEDIA_MEMORY_BYTES of a worker that analyses: one decode pass, of which it may run two at once."""

CONTROL_MEDIA_MIB = 256
"""Of the control worker, which reads no video: the least that the setting takes."""

API_MIB = 1024
"""Of the API's processes and their media servers themselves."""

API_PROCESSES = 2
"""`--workers` of docker/api.Dockerfile."""

API_MEDIA_MIB = 2560
"""REELGRAPH_MEDIA_MEMORY_BYTES of the API; a process of it reads one video at a time (REELGRAPH_MEDIA_AT_ONCE)."""

API_MEMORY_MIB = API_MIB + API_PROCESSES * API_MEDIA_MIB
"""The limit of the API's container."""

DEADLINE_SECONDS = 1800
"""A job's time in these deployments, so that the hardest limit of a task is known."""

STOP_SECONDS = DEADLINE_SECONDS + int(GRACE_SECONDS) + 45
"""Grace period of a worker: over the hard limit, so that SIGTERM never ends a task."""

PRELOAD_SECONDS = 900
"""A worker gives up loading by itself then and says why; the startup probe waits a little longer."""

PROBE_SECONDS = 10
STARTUP_FAILURES = PRELOAD_SECONDS // PROBE_SECONDS + 6

WEIGHTS_SECONDS = 4 * 3600
"""A pod waits so long for its weights before it starts over: as long as the job that pulls them may take."""

PROGRESS_SECONDS = WEIGHTS_SECONDS + STOP_SECONDS + STARTUP_FAILURES * PROBE_SECONDS + 300
"""A rollout is given up then: weights are pulled, where no GPU is free an old worker ends its task, a new one loads."""

MIG_SLICES = (("1g.10gb", 9_728), ("2g.20gb", 19_968), ("3g.40gb", 40_192), ("7g.80gb", 81_152))
"""MIG profiles of an H100 or A100 with 80 GB and their memory in MiB (NVIDIA's MIG user guide)."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One Deployment, or one compose service."""

    name: str
    queues: tuple[str, ...]
    profile: str
    gpu: bool
    gpu_index: int
    own_mib: int
    """What its processes hold, but for those that read media."""
    media_mib: int
    """What each process that reads media may hold."""
    vram_mib: int | None
    load_seconds: float
    least: int
    most: int

    @property
    def node(self) -> str:
        """What it is called in Flower and logs."""
        return node_name(self.name, self.queues)

    @property
    def memory_mib(self) -> int:
        """The container's limit: there is room for all its decode passes, so that none is killed for memory."""
        return self.own_mib + AT_ONCE * self.media_mib

    @property
    def controls(self) -> bool:
        """Whether it plans and reconciles; there is one such worker, since it carries the clock (beat)."""
        return CONTROL in self.queues

    @property
    def image(self) -> str:
        """Which image it runs."""
        return "worker-gpu" if self.gpu else "worker-cpu"

    @property
    def lists(self) -> tuple[str, ...]:
        """The broker's lists of its queues, one for each priority, as kombu names them."""
        separator = app.conf.broker_transport_options["sep"]
        numbers = range(PRIORITIES)
        return tuple(f"{queue}{separator}{number}" if number else queue for queue in self.queues for number in numbers)

    @property
    def service(self) -> str:
        """What compose calls it; the control worker is one for both profiles."""
        if self.controls:
            return f"worker-{CONTROL}"
        return f"worker-gpu-{self.name}" if self.profile == "gpu" else f"worker-{self.name}"

    @property
    def mig_slice(self) -> str | None:
        """The smallest MIG profile with room for what its models may use and for CUDA itself; None where none has."""
        if self.vram_mib is None:
            return MIG_SLICES[-1][0]
        needed_mib = self.vram_mib + CONTEXT_MIB
        return next((name for name, room_mib in MIG_SLICES if needed_mib <= room_mib), None)


LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_CHARACTERS = 63
"""A label of RFC 1123, which names of Kubernetes' objects must be."""

LONGEST_PREFIX = "keda-hpa-worker-"
"""What KEDA calls a worker's autoscaler begins with it; compose's `worker-gpu-` is shorter."""

TAKEN = frozenset({"unacked"})
"""Keys that the broker's client has beside its queues."""


def worker_specs(profile: str) -> tuple[WorkerSpec, ...]:
    """Every worker of a profile.

    Raises:
        BadInput: no group knows the profile, a worker's load is longer than the probes wait for, a worker or group is
            called what Kubernetes does not take, or the queue `control` has not one worker of its own.
    """
    for name, queues in workers(profile).items():
        _refuse_name("worker", name, LABEL_CHARACTERS - len(LONGEST_PREFIX))
        for queue in queues:
            _refuse_name("group", queue, LABEL_CHARACTERS)
    _refuse_control(profile)
    specs = tuple(_spec(name, queues, profile) for name, queues in workers(profile).items())
    for spec in specs:
        if 2 * spec.load_seconds > STARTUP_FAILURES * PROBE_SECONDS:
            message = f"{spec.name} takes {spec.load_seconds:.0f} s to load, over half of what its startup probe allows"
            raise BadInput(message, code="slow_load")
    return specs


def compose_workers() -> tuple[WorkerSpec, ...]:
    """The workers of both profiles, each once.

    Raises:
        BadInput: as `worker_specs`, or two would have one name.
    """
    found = dict[str, WorkerSpec]()
    for spec in (*worker_specs("local"), *worker_specs("gpu")):
        other = found.setdefault(spec.service, spec)
        if other is not spec and not (other.controls and spec.controls):
            two = f"the workers {other.name!r} of the profile {other.profile} and {spec.name!r} of {spec.profile}"
            raise BadInput(f"{two} cannot both be rendered: compose would call both {spec.service}", code="bad_name")
    return tuple(found.values())


def _refuse_control(profile: str) -> None:
    """Refuse a profile whose clock would tick twice or never, or where planning would wait behind analysis."""
    there = {name: queues for name, queues in workers(profile).items() if CONTROL in queues}
    if len(there) != 1:
        message = f"the group {CONTROL} of the profile {profile} has {', '.join(there) or 'no worker'}"
        raise BadInput(f"{message}: exactly one worker is expected, for it carries the clock", code="bad_control")
    ((name, queues),) = there.items()
    if more := [queue for queue in queues if queue != CONTROL]:
        message = f"the worker {name!r} of the profile {profile} serves {', '.join(more)} as well as {CONTROL}"
        raise BadInput(f"{message}: give what analyses another worker, or plans would wait for it", code="bad_control")


def _refuse_name(what: str, name: str, most: int) -> None:
    if name in TAKEN:
        raise BadInput(f"the {what} {name!r} cannot be rendered: the broker has a key of that name", code="bad_name")
    if not LABEL.fullmatch(name) or len(name) > most:
        rule = f"1 to {most} small letters (a to z), digits and hyphens are expected, no hyphen first or last"
        raise BadInput(f"the {what} {name!r} cannot be rendered: {rule}", code="bad_name")


def _spec(name: str, queues: tuple[str, ...], profile: str) -> WorkerSpec:
    served = [groups()[queue] for queue in queues]
    gpu = profile == "gpu" and any(group.gpu for group in served)
    vram_mib = planned_mib(name, [group.name for group in served if group.gpu]) if gpu else None
    controls = CONTROL in queues
    return WorkerSpec(
        name=name,
        queues=queues,
        profile=profile,
        gpu=gpu,
        gpu_index=(planned_gpu(name, queues) or 0) if gpu else 0,
        # weights pass through the host's memory on their way to the GPU
        own_mib=max(group.memory_mib for group in served) + PARENT_MIB + (vram_mib or 0),
        media_mib=CONTROL_MEDIA_MIB if controls else MEDIA_MIB,
        vram_mib=vram_mib,
        load_seconds=max((group.load_seconds.get(profile, 0.0) for group in served), default=0.0),
        least=0 if all(group.batch for group in served) else 1,
        most=1 if controls else max(group.most_workers for group in served),
    )
