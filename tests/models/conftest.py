from pathlib import Path

import pytest

from tests.models.golden_folder import golden_folder


@pytest.fixture(scope="session")
def golden_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_folder(tmp_path_factory)
