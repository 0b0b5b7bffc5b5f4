"""The tables of settings, made from `service.settings.Settings`."""

from __future__ import annotations

from service.settings import PREFIX, Settings

GROUPS = {
    "What is kept, and where": (
        "data",
        "database_url",
        "store_url",
        "weights",
        "cache_bytes",
        "reserve_bytes",
        "gc_grace_seconds",
    ),
    "Who may ask": ("host", "port", "key", "open", "allowed_hosts"),
    "How much a request may bring, and how long it may take": (
        "max_body_bytes",
        "max_other_body_bytes",
        "max_model_body_bytes",
        "max_rows",
        "max_cells",
        "max_picture_bytes",
        "max_image_side",
        "max_classes",
        "max_class_name",
        "max_depth",
        "body_timeout_seconds",
        "head_timeout_seconds",
        "answer_timeout_seconds",
        "reading_seconds",
        "idle_seconds",
        "max_connections",
        "waiting_requests",
        "waiting_large_bodies",
        "update_waits",
        "event_streams",
        "downloads",
        "scores_at_once",
        "unsent_bytes",
    ),
    "Predictions": ("queue_seconds", "serving_bytes"),
    "Where and how updates learn": (
        "worker",
        "device",
        "update_devices",
        "child_threads",
        "child_priority",
        "child_max_updates",
        "ray",
        "save_seconds",
        "progress_deadline_seconds",
        "max_attempts",
        "retry_delay_seconds",
        "lease_seconds",
        "beat_seconds",
        "poll_seconds",
    ),
    "Shares of a key and of a model": (
        "key_rate",
        "key_queued_updates",
        "key_bytes",
        "queued_updates",
        "model_bytes",
        "model_aliases",
        "ledger_min_rows",
    ),
    "What it tells": ("log_format", "log_requests", "metrics_models", "metrics_port"),
}
"""Settings by what they are about; those that no group names stand in the last one."""
REST = "Others"


def settings_tables() -> str:
    """A heading and a table for each group, in the order of the groups."""
    named = {name for names in GROUPS.values() for name in names}
    rest = tuple(name for name in Settings.model_fields if name not in named)
    groups = {**GROUPS, REST: rest}
    return "\n".join(f"## {title}\n\n{_table(names)}" for title, names in groups.items())


def _table(names: tuple[str, ...]) -> str:
    rows = [f"| `{PREFIX}{name.upper()}` | {_default(name)} | {_description(name)} |" for name in names]
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *rows, ""])


def _default(name: str) -> str:
    """As one would set it."""
    default = Settings.model_fields[name].default
    folders = {"database_url": "sqlite:///…/tsuika.db", "store_url": "file:///…/store", "data": "./tsuika-data"}
    if name in folders:
        return f"`{folders[name]}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return "" if default in (None, (), {}) else f"`{default}`"


def _description(name: str) -> str:
    return str(Settings.model_fields[name].description).replace("|", "\\|")
