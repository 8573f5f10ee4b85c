"""Numbers read off a record: what is missing or is none names its file and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from check_records import curve, write

from repro.errors import RecordError
from repro.judge import measures
from repro.judge.claims.claim import VAE
from repro.store import Record


@pytest.mark.parametrize("value", [None, "high", True])
def test_a_metric_that_is_no_number_names_file_and_remedy(tmp_path: Path, value: object) -> None:
    record: Record = write(tmp_path, VAE, L1_test=value)
    with pytest.raises(RecordError, match=r"final\.json: L1_test .* `repro evaluate mnist-vae-L5"):
        measures.metric(record, "L1_test")


def test_an_array_that_is_missing_names_its_file(tmp_path: Path) -> None:
    record = write(tmp_path, VAE, arrays={"per_image": {"L1": np.zeros(2)}})
    with pytest.raises(RecordError, match=r"per_image\.npz: holds no LK"):
        measures.gap_of_bounds(record)


def test_a_layer_missing_from_kl_layers_is_refused(tmp_path: Path) -> None:
    record = write(tmp_path, VAE, kl_layers=[1.0, 2.0])
    with pytest.raises(RecordError, match="not one number a layer"):
        measures.kl_layers(record)


def test_a_curve_without_evaluations_is_refused(tmp_path: Path) -> None:
    record = write(tmp_path, VAE, **curve([np.nan], [np.nan], [1.0]))
    with pytest.raises(RecordError, match=r"curve\.csv: holds no evaluated epoch"):
        measures.rise_since(0.5, record)
