"""One server-everything for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import everything


@pytest.fixture(scope="session")
def everything_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with everything(tmp_path_factory.mktemp("everything")) as url:
        yield url
