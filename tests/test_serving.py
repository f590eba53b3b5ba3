"""Gatehouse as it is really served: several workers, and what happens when one dies."""

from __future__ import annotations

from pathlib import Path

from tests.serving import alive, answers, gatehouse, listens, practice_server


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_killed_worker_is_replaced_and_the_program_comes_back_after_losing_all(tmp_path: Path) -> None:
    with gatehouse(tmp_path) as server:
        first = server.kill(0)
        server.wait_ready()
        assert first not in server.workers()
        everybody = [server.pid, *server.workers()]
        server.kill("all")
        assert not listens(port_of(server.url))
        assert not any(map(alive, everybody))
        server.up()
        everybody = [server.pid, *server.workers()]
        assert len(everybody) == 3
        assert server.house.run("setup-code").stdout.startswith("Open ")
    assert not any(map(alive, everybody))
    assert "Traceback" not in server.said()


def test_it_stops_quickly_and_cleanly_when_asked(tmp_path: Path) -> None:
    with gatehouse(tmp_path, workers=1) as server:
        assert server.stop() == 0
        assert not answers(f"{server.url}/healthz")


def test_the_practice_server_starts_and_stops(tmp_path: Path) -> None:
    with practice_server(tmp_path) as url:
        assert answers(f"{url}/")
    assert not listens(port_of(url))
