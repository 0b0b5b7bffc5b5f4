"""Settings: read once from the environment, described, and refused where they contradict themselves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.app import serve
from service.errors import ImpossibleSettings, SchemaMismatch
from service.settings import Settings, strange
from service.worker.parent.worker_process import work


def read(**environment: str) -> Settings:
    return Settings.from_environment({f"TSUIKA_{name.upper()}": value for name, value in environment.items()})


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_defaults_stay_on_this_machine_and_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read()
    assert settings.loopback
    assert settings.data == tmp_path / "tsuika-data"
    assert settings.database_url == f"sqlite:///{tmp_path}/tsuika-data/tsuika.db"
    assert settings.database_file == tmp_path / "tsuika-data" / "tsuika.db"
    assert settings.store_folder == tmp_path / "tsuika-data" / "store"


def test_environment_then_overrides_and_empty_means_unset() -> None:
    assert Settings.from_environment({"PORT": "81"}).port == 81
    assert Settings.from_environment({"PORT": "81", "TSUIKA_PORT": "82"}).port == 82
    with pytest.raises(ImpossibleSettings, match=r"^PORT cannot be used"):
        Settings.from_environment({"PORT": "eighty"})
    environment = {"TSUIKA_PORT": "9000", "TSUIKA_KEY": "", "TSUIKA_ALLOWED_HOSTS": "a.example, b.example", "PORT": "1"}
    settings = Settings.from_environment(environment, host=None, worker=False)
    assert (settings.port, settings.key, settings.worker) == (9000, None, False)
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert Settings.from_environment(environment, port=0).port == 0


def test_a_store_folder_with_a_space_keeps_it(tmp_path: Path) -> None:
    assert read(data=str(tmp_path / "my data")).store_folder == tmp_path / "my data" / "store"


def test_bytes_of_a_shared_database_lie_where_others_find_them(tmp_path: Path) -> None:
    shared = {"data": tmp_path / "mine", "database_url": "postgresql://db.example/tsuika"}
    assert Settings(**shared).keeps_bytes_alone
    assert not Settings(**shared, store_url=(tmp_path / "all").as_uri()).keeps_bytes_alone
    assert not Settings(data=tmp_path).keeps_bytes_alone


def test_beyond_loopback_a_key_or_open_is_needed() -> None:
    for host in ["0.0.0.0", "::", "192.0.2.7", "example.org", ""]:
        bare = Settings.from_environment({}, host=host)
        with pytest.raises(ImpossibleSettings, match=r"`tsuika keys create`.*TSUIKA_KEY.*--open"):
            bare.check_door(keys_stored=False)
        bare.check_door(keys_stored=True)
        with pytest.raises(ImpossibleSettings, match="at least 16 of chance"):
            Settings.from_environment({}, host=host, key="secret").check_door(keys_stored=True)
        Settings.from_environment({}, host=host, key="secret" * 3).check_door(keys_stored=False)
        Settings.from_environment({}, host=host, open=True).check_door(keys_stored=False)


def test_loopback_needs_no_key() -> None:
    for host in ["127.0.0.1", "127.8.8.8", "::1", "localhost"]:
        Settings.from_environment({}, host=host).check_door(keys_stored=False)


def test_an_impossible_setting_is_refused_by_name() -> None:
    for name, value, sentence in [
        ("port", "eighty", "TSUIKA_PORT"),
        ("port", "70000", "TSUIKA_PORT"),
        ("reading_seconds", "1e30", "less than or equal to 1000000"),
        ("stop_seconds", "1000001", "less than or equal to 1000000"),
        ("retry_delay_seconds", "inf", "less than or equal to 1000000"),
        ("key", "two words", "printable ASCII"),
        ("key", "schlüssel", "printable ASCII"),
        ("database_url", "mysql://somewhere/x", "SQLite"),
        ("database_url", "sqlite://", "memory"),
        ("database_url", "sqlite:///:memory:", "memory"),
        ("store_url", "s3://key:secret@bucket/prefix", "s3://bucket/prefix"),
        ("store_url", "file://elsewhere/x", "folder of this machine"),
        ("lease_seconds", "6", "TSUIKA_BEAT_SECONDS"),
        ("poll_seconds", "60", "TSUIKA_POLL_SECONDS"),
        ("database_connections", "4", r"KEPT_CONNECTIONS \(8\) must be at most TSUIKA_DATABASE_CONNECTIONS \(4\)"),
        (
            "database_lock_seconds",
            "90",
            r"LOCK_SECONDS \(90\) must be at most TSUIKA_DATABASE_STATEMENT_SECONDS \(60\)",
        ),
        ("reserve_bytes", "1__000", "TSUIKA_RESERVE_BYTES"),
        ("poll_seconds", "nan", "TSUIKA_POLL_SECONDS"),
        ("weights", "nonsense", "^TSUIKA_WEIGHTS cannot be used: (?!Value error)"),
        ("ray", "ray://head:10001", "must be auto.*host:6379"),
        ("key_rate", "1e-9", "^TSUIKA_KEY_RATE.* at least 0.001"),
    ]:
        with pytest.raises(ImpossibleSettings, match=sentence):
            read(**{name: value})


def test_numbers_may_have_underscores_between_digits_as_in_python_and_toml() -> None:
    settings = read(reserve_bytes="67_108_864", queue_seconds="1_0.5")
    assert (settings.reserve_bytes, settings.queue_seconds) == (64 * 2**20, 10.5)


@pytest.mark.parametrize("start", [serve, work])
def test_more_than_the_disk_has_cannot_stay_free(start: Callable[[Settings], object], tmp_path: Path) -> None:
    size = shutil.disk_usage(tmp_path).total
    read(data=str(tmp_path), reserve_bytes=str(size - 1)).check_room()
    apart = read(data=str(tmp_path), reserve_bytes=str(size), store_url=(tmp_path / "not" / "yet").as_uri())
    with pytest.raises(ImpossibleSettings, match=rf"TSUIKA_RESERVE_BYTES \({size:,}\).* has {size:,} bytes"):
        start(apart)
    shared = {"database_url": "postgresql://db.example/tsuika", "store_url": "s3://bucket"}
    read(**shared, reserve_bytes=str(2**60)).check_room()


def test_a_cluster_without_its_client_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.find_spec", lambda name: None)
    with pytest.raises(ImpossibleSettings, match=r"pip install -e '\.\[ray\]'"):
        Settings.from_environment({"TSUIKA_RAY": "auto"})


def test_what_is_not_asked_of_the_system_is_named() -> None:
    assert read(tuning_off="malloc, batch").tuning_off == ("malloc", "batch")
    with pytest.raises(ImpossibleSettings, match=r"^TSUIKA_TUNING_OFF cannot be used: Input"):
        read(tuning_off="maloc")


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(read(key="secret"))


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_it_is_like() -> None:
    set_well = {"TSUIKA_MAX_BODY_BYTES": "1", "TSUIKA_URL": "x", "TSUIKA_BENCH_DATA": "x", "PORT": "1"}
    assert strange(set_well) == []
    assert strange({**set_well, "TSUIKA_MAX_BODY": "1", "TSUIKA_QQQQ": "1"}) == [
        "TSUIKA_MAX_BODY is no setting and does nothing. Did you mean TSUIKA_MAX_BODY_BYTES?",
        "TSUIKA_QQQQ is no setting and does nothing.",
    ]


def test_a_worker_logs_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    monkeypatch.setenv("TSUIKA_MAX_BODY", "1")
    with pytest.raises(SchemaMismatch):
        work(Settings(data=tmp_path))
    assert "TSUIKA_MAX_BODY is no setting" in caplog.text
