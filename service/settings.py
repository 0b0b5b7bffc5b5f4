"""Every setting: type, default, description. Nothing else reads the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from service.contract.body_limits import BodyLimits
from service.contract.strict import Device, Rate
from service.errors import ImpossibleSettings

PREFIX = "TSUIKA_"
MiB = 1024 * 1024
NOT_OURS = frozenset({f"{PREFIX}URL", f"{PREFIX}BENCH_DATA"})
"""Variables of the client and the benchmarks."""

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
CLUSTER = re.compile(r"auto|[A-Za-z0-9._-]+:[0-9]{1,5}|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}")
DATABASES = ("sqlite:", "sqlite+pysqlite:", "postgresql:", "postgresql+psycopg:")
Names = Annotated[tuple[str, ...], BeforeValidator(lambda v: _listed(v))]
Files = Annotated[dict[str, str], BeforeValidator(lambda v: _named(v))]
Tuning = Literal["batch", "freeze", "malloc", "stop_filter", "yield"]
Devices = Annotated[tuple[Device, ...], BeforeValidator(lambda v: _listed(v))]
NEVER_ABOVE = (
    ("database_kept_connections", "database_connections"),
    ("database_lock_seconds", "database_statement_seconds"),
)
"""Settings of which the first would do nothing beyond the second."""
LEAST_KEY = 16
"""Characters of TSUIKA_KEY where other machines can try."""
MOST_SECONDS = 1_000_000
"""Eleven days. Clocks of threads, sockets and PostgreSQL end after 24 days, some of them without a word."""
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    """ "a, b" -> ("a", "b"); anything but a string stays as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """ "a=/x, b=/y" -> {"a": "/x", "b": "/y"}; anything but a string stays as it is."""
    if not isinstance(value, str):
        return value
    named: dict[str, str] = {}
    for part in _listed(value):
        name, _, path = (word.strip() for word in part.partition("="))
        kind = ".pt2" if name.startswith("program/") else ".safetensors"
        if not (name and path.endswith(kind) and Path(path).is_absolute()):
            raise ValueError(f'"{part}" is not name=/absolute/path/to/file{kind}')
        if name in named:
            raise ValueError(f"{name} is named twice")
        named[name] = path
    return named


def strange(environment: Mapping[str, str] | None = None) -> list[str]:
    """A warning for each variable TSUIKA_... that is no setting, with the setting that it resembles."""
    known = [name.upper() for name in Settings.model_fields]
    sentences = []
    for name in sorted(os.environ if environment is None else environment):
        if not name.startswith(PREFIX) or name in NOT_OURS or name.removeprefix(PREFIX) in known:
            continue
        near = get_close_matches(name.removeprefix(PREFIX), known, n=1)
        sentences.append(f"{name} is no setting and does nothing.{f' Did you mean {PREFIX}{near[0]}?' if near else ''}")
    return sentences


class Settings(BodyLimits):
    """The settings of a process. The environment variable TSUIKA_X sets the field `x`."""

    data: Path = Field(
        Path("tsuika-data"), validate_default=True, description="Folder of the database and of stored bytes."
    )
    database_url: str = Field(
        default_factory=lambda known: f"sqlite:///{known['data'] / 'tsuika.db'}",
        description="Where facts are kept: a file of SQLite (`sqlite:///...`), by default in the data folder, or a "
        "database of PostgreSQL that several services and workers share (`postgresql://user:password@host/name`, with "
        "`pip install -e '.[postgres]'`).",
    )
    database_connections: int = Field(
        32, ge=1, description="Connections to PostgreSQL that a process may open for reads, and as many for writes."
    )
    database_kept_connections: int = Field(8, ge=1, description="How many of each stay open while nobody needs them.")
    database_lock_seconds: Seconds = Field(
        5.0, description="What waits longer in PostgreSQL, for a lock or for one of these connections, is refused."
    )
    database_statement_seconds: Seconds = Field(
        60.0, description="A statement that takes PostgreSQL longer is given up, and so is an idle transaction."
    )
    store_url: str = Field(
        default_factory=lambda known: (known["data"] / "store").as_uri(),
        description="Where bytes are kept: a folder (`file:///...`), by default in the data folder, or a bucket of S3 "
        "that several machines share (`s3://bucket/prefix`, with `pip install -e '.[s3]'`; endpoint, region and "
        "credentials by the usual variables `AWS_...`).",
    )

    host: str = Field("127.0.0.1", description="Address to listen on; beyond loopback a key is needed, or `--open`.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one. By default PORT, if set."
    )
    key: str | None = Field(
        None,
        repr=False,
        description="Key that callers send as `Authorization: Bearer ...`, until there is one with the scope admin.",
    )
    open: bool = Field(False, description="Listen beyond loopback without a key: anybody who reaches it may write.")
    allowed_hosts: Names = Field(
        (), description="Host names, besides loopback, that it answers to; empty: any where a key is asked for."
    )
    worker: bool = Field(True, description="Learn in this service; without it, run `tsuika work` beside it.")

    max_connections: int = Field(
        5000, ge=1, le=1_000_000, description="Open connections; beyond it those that ask nothing are closed."
    )
    head_timeout_seconds: Seconds = Field(10.0, description="A request whose head arrives more slowly is cut off.")
    max_body_bytes: int = Field(64 * MiB, ge=1024, description="Largest body of a request.")
    body_timeout_seconds: Seconds = Field(60.0, description="A body that arrives more slowly is cut off.")
    answer_timeout_seconds: Seconds = Field(60.0, description="A long answer that is taken more slowly is cut off.")
    idle_seconds: int = Field(
        75, ge=1, description="A connection is closed so long after its last answer; a proxy in front closes sooner."
    )
    unsent_bytes: int = Field(
        256 * MiB,
        ge=MiB,
        description="Answers of all connections that wait in memory to be taken; beyond it the connection that takes "
        "nothing for the longest is cut off.",
    )
    waiting_requests: int = Field(
        256,
        ge=1,
        description="Requests with rows to learn that may wait to be stored, each with its body in memory, and as many "
        "others that write.",
    )
    waiting_large_bodies: int = Field(
        8, ge=1, description="Large bodies, and versions from elsewhere, that may wait on disk to be stored."
    )
    reading_seconds: Seconds = Field(120.0, description="Reading one large body is given up after so long.")
    update_waits: int = Field(1000, ge=0, description="Callers that may wait for an update at once (`wait`).")
    event_streams: int = Field(100, ge=1, description="Callers that may follow the events of updates at once.")
    downloads: int = Field(16, ge=1, description="Weights and sums that may be sent at once, each a file on the disk.")
    scores_at_once: int = Field(
        4_000_000,
        ge=1,
        description="Scores of all long answers that are made at once; a million take about 12 MB of memory.",
    )
    queue_seconds: Seconds = Field(1.0, description="Predictions that would wait longer than this are refused.")
    serving_bytes: int = Field(
        2048 * MiB, ge=0, description="Memory of loaded versions; those not asked for the longest make room for others."
    )
    stop_seconds: Seconds = Field(10.0, description="A stopped process is gone within this time.")

    log_format: Literal["text", "json"] = Field(
        "text", description="How the log is written: lines of text, or an object of JSON a line."
    )
    log_requests: Literal["failed", "all"] = Field(
        "failed",
        description="Which requests have a line in the log: those that failed or took a second, or `all`, which costs "
        "predictions their short way.",
    )

    metrics_models: int = Field(100, ge=0, description="Models that `/metrics` names; the others are counted together.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port on which `tsuika work` answers `/metrics`; none where it is not set."
    )

    key_rate: Rate | None = Field(None, description="Requests a second of a key that has no rate of its own.")
    queued_updates: int | None = Field(1000, ge=1, description="Updates of a model that may wait at once.")
    key_queued_updates: int | None = Field(
        None, ge=1, description="Updates that one key may have waiting; its `queued` comes first."
    )
    model_bytes: int | None = Field(None, ge=1, description="Bytes of the stored batches of a model.")
    model_aliases: int = Field(1000, ge=1, description="Aliases of a model; each service has them all in memory.")
    key_bytes: int | None = Field(
        None, ge=1, description="Bytes of the stored batches that one key has sent; its `bytes` comes first."
    )
    ledger_min_rows: int = Field(
        1,
        ge=1,
        description="Rows of each class that a batch must have brought for the sums of a version that learned it to "
        "leave the service (`GET .../ledger`): the sum of one row is that row.",
    )

    lease_seconds: Seconds = Field(30.0, description="A worker that is not heard of for so long has lost its update.")
    beat_seconds: Seconds = Field(5.0, description="Time between two heartbeats of a worker.")
    poll_seconds: Seconds = Field(0.25, description="Time between two looks for new work, and at what is live.")
    max_attempts: int = Field(3, ge=1, le=100, description="Claims of an update before it counts as failed.")
    retry_delay_seconds: float = Field(
        2.0, ge=0, le=MOST_SECONDS, description="Wait before the second attempt; it doubles with each."
    )
    progress_deadline_seconds: Seconds = Field(
        600.0, description="An update without any progress for so long is ended."
    )
    save_seconds: Seconds = Field(
        300.0, description="Time between two saves of a training, or of features, from which another attempt goes on."
    )

    device: Device = Field(
        "cpu",
        description="Where updates train and make features: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto`, the fastest "
        "that is there. Predictions are computed on the CPU.",
    )
    update_devices: Devices = Field(
        (), description="Devices that an update may name in place of that one, several with commas."
    )
    child_threads: int = Field(1, ge=1, le=256, description="Threads of the process that learns.")
    child_priority: Literal["idle", "low", "normal"] = Field(
        "idle",
        description="Priority of the processes that learn and that read large bodies. `idle`: they take what nothing "
        "else wants, so they are many times slower on a machine that is always busy; `low`: a tenth of a busy core; "
        "`normal`: their share, at the cost of predictions.",
    )
    child_max_updates: int = Field(
        200, ge=1, description="Updates after which that process is replaced by a fresh one."
    )

    ray: str | None = Field(
        None,
        description="Ray cluster on which updates learn, instead of in a process beside the worker: `auto` for the one "
        "that this machine is a node of, or the address of its head (`host:6379`), with `pip install -e '.[ray]'`.",
    )

    weights: Files = Field(
        {},
        description="Weights of pretrained backbones, as name=/path/to/file.safetensors, several with commas: "
        "architectures of torchvision (resnet18) and timm (timm/vit_tiny_patch16_224); or programs of torch.export, as "
        "program/name=/path/to/file.pt2.",
    )

    cache_bytes: int = Field(1024 * MiB, ge=0, description="Rebuildable bytes (features, sums) that are kept.")
    reserve_bytes: int = Field(
        64 * MiB,
        ge=0,
        description="Room on the disk of database and store that stays free: what would be stored is refused then, and "
        "rollbacks and repairs go on.",
    )
    gc_grace_seconds: float = Field(86400.0, ge=0, description="Unreferenced bytes younger than this are left alone.")
    tuning_off: Annotated[tuple[Tuning, ...], BeforeValidator(lambda v: _listed(v))] = Field(
        (),
        description="What not to ask of kernel, allocator and collector, several with commas: `batch` and `yield` "
        "(threads beside the event loop make way for it), `malloc` (freed memory is kept for the next pass), `freeze` "
        "(the collector skips what lasts), `stop_filter` (a stop drops new connections before it closes the port).",
    )
    crash_point: str | None = Field(None, description="For tests: the named point at which the process kills itself.")

    @field_validator("data", mode="after")
    @classmethod
    def _absolute(cls, data: Path) -> Path:
        return data.expanduser().absolute()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Defaults, then PORT, as platforms set it, then TSUIKA_... variables (empty counts as unset), then `overrides`
        that are not None; checked.

        Raises ImpossibleSettings.
        """
        env = os.environ if environment is None else environment
        values: dict[str, Any] = {"port": env["PORT"]} if env.get("PORT") else {}
        values |= {name: env[PREFIX + name.upper()] for name in cls.model_fields if env.get(PREFIX + name.upper())}
        values |= {name: value for name, value in overrides.items() if value is not None}
        try:
            settings = cls.model_validate(values)
        except ValidationError as wrong:
            first = wrong.errors(include_input=False, include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"][:1])
            called = "PORT" if name == "port" and values["port"] == env.get("PORT") else f"{PREFIX}{name.upper()}"
            reason = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
            raise ImpossibleSettings(f"{called} cannot be used: {reason}.") from None
        settings.check()
        return settings

    def check(self) -> None:
        """Raises ImpossibleSettings, with the remedy, for settings that are unsafe or contradict one another."""
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise ImpossibleSettings("TSUIKA_KEY must be printable ASCII without spaces: it travels in a header.")
        if not self.database_url.startswith(DATABASES):
            raise ImpossibleSettings(
                "TSUIKA_DATABASE_URL must name an SQLite file (sqlite:///folder/tsuika.db) or a database of PostgreSQL "
                "(postgresql://user:password@host/tsuika)."
            )
        in_memory = self.database_url.partition("://")[2].partition("?")[0] in ("", "/", "/:memory:")
        if in_memory and self.database_file is not None:
            raise ImpossibleSettings(
                "TSUIKA_DATABASE_URL must name a file (sqlite:///folder/tsuika.db): what is kept in memory is "
                "lost with the process."
            )
        store = urlsplit(self.store_url)
        local = store.scheme == "file" and store.netloc in ("", "localhost")
        in_bucket = store.scheme == "s3" and BUCKET.fullmatch(store.netloc) and not (store.query or store.fragment)
        if not (local or in_bucket):
            raise ImpossibleSettings(
                "TSUIKA_STORE_URL must be a folder of this machine (file:///folder) or a bucket of S3 "
                "(s3://bucket/prefix)."
            )
        if in_bucket and find_spec("obstore") is None:
            raise ImpossibleSettings(
                "TSUIKA_STORE_URL names a bucket of S3, and its client is not here: pip install -e '.[s3]'."
            )
        if self.ray is not None and not CLUSTER.fullmatch(self.ray):
            raise ImpossibleSettings(
                "TSUIKA_RAY must be auto, for the Ray cluster that this machine is a node of, or the address of its "
                "head (host:6379). A machine that is no node joins with `ray start --address=HEAD:6379 --num-cpus=0`."
            )
        if self.ray is not None and find_spec("ray") is None:
            raise ImpossibleSettings("TSUIKA_RAY names a Ray cluster, and Ray is not here: pip install -e '.[ray]'.")
        for name in ("beat_seconds", "poll_seconds"):  # a worker beats when it looks
            if 2 * (seconds := getattr(self, name)) > self.lease_seconds:
                raise ImpossibleSettings(
                    f"TSUIKA_LEASE_SECONDS ({self.lease_seconds:g}) must be at least twice {PREFIX}{name.upper()} "
                    f"({seconds:g}), or one late heartbeat loses an update."
                )
        for least, most in NEVER_ABOVE:
            if getattr(self, least) > getattr(self, most):
                raise ImpossibleSettings(
                    f"{PREFIX}{least.upper()} ({getattr(self, least):g}) must be at most {PREFIX}{most.upper()} "
                    f"({getattr(self, most):g}): that one ends it before."
                )

    def check_room(self) -> None:
        """Raises ImpossibleSettings where more is to stay free than the whole disk of database or store has."""
        file, store = self.database_file, self.store_folder
        for folder in (place for place in (file.parent if file is not None else None, store) if place is not None):
            size = shutil.disk_usage(next(place for place in (folder, *folder.parents) if os.path.exists(place))).total
            if self.reserve_bytes >= size:
                raise ImpossibleSettings(
                    f"TSUIKA_RESERVE_BYTES ({self.reserve_bytes:,}) is to stay free, and the whole disk of {folder} "
                    f"has {size:,} bytes: nothing could be stored."
                )

    def check_door(self, keys_stored: bool) -> None:
        """Raises ImpossibleSettings where a service would answer to other machines and ask for no key, or for one that
        can be guessed."""
        if not (self.loopback or self.key or self.open or keys_stored):
            raise ImpossibleSettings(
                f"Listening on {self.host} lets other machines in. Make a key with `tsuika keys create` (in a new data "
                "folder run `tsuika migrate` first), or set TSUIKA_KEY to a secret that callers send, or pass --open "
                "(TSUIKA_OPEN=1) to let everybody in."
            )
        if not self.loopback and self.key is not None and len(self.key) < LEAST_KEY and not self.open:
            raise ImpossibleSettings(
                f"TSUIKA_KEY has {len(self.key)} characters, and {self.host} lets other machines in: who guesses it "
                f"may do everything. Take at least {LEAST_KEY} of chance: openssl rand -hex 16."
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def database_file(self) -> Path | None:
        """The file that `database_url` names; None where it is no SQLite."""
        return file_of(self.database_url)

    @property
    def store_folder(self) -> Path | None:
        """The folder that `store_url` names; None where it names a bucket."""
        return folder_of(self.store_url)

    @property
    def keeps_bytes_alone(self) -> bool:
        """Whether others may share the database, and bytes lie in the data folder of this process."""
        folder = self.store_folder
        return self.database_file is None and folder is not None and folder.is_relative_to(self.data)


def inherited_log_format() -> Literal["text", "json"]:
    """`log_format` of a process that another one started, which has read all settings."""
    return "json" if os.environ.get(f"{PREFIX}LOG_FORMAT") == "json" else "text"


def file_of(database_url: str) -> Path | None:
    """The file that the URL of a database names; None where it is no SQLite."""
    return Path(database_url.partition(":///")[2].partition("?")[0]) if database_url.startswith("sqlite") else None


def folder_of(store_url: str) -> Path | None:
    """The folder that the URL of a store names; None where it names a bucket."""
    place = urlsplit(store_url)
    return Path(unquote(place.path)) if place.scheme == "file" else None
