"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repro.store import ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets; a test that needs it fails without it."""
    named = os.environ.get("REPRO_DATA")
    places = [Path(named)] if named else [ROOT / "data", ROOT.parent / "shared" / "data"]
    for place in places:
        if (place / "mnist").is_dir():
            return place
    return pytest.fail(
        f"no data set in {', '.join(map(str, places))}: run `repro data fetch`,"
        " or set REPRO_DATA to a folder that holds mnist/"
    )
