"""What is learnt from tables of which one knows what is best."""

from __future__ import annotations

import pandas as pd
import pytest
from known_past import made

from hptbench.meta.artefact import Trained, train


@pytest.fixture(scope="session")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return made()


@pytest.fixture(scope="session")
def trained(tables: tuple[pd.DataFrame, pd.DataFrame]) -> Trained:
    return train(*tables)
