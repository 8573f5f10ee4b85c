"""The model card beside published weights."""

from pathlib import Path

import fixture_store
import pytest
from commands import LVAE, quick_run

from repro.cli import publish as publishing
from repro.errors import NothingError
from repro.show.card import card
from repro.store import Store


def test_a_card_says_data_protocol_bounds_errors_and_how_to_load(tmp_path: Path) -> None:
    of_all = {"LK_images": 10_000, "LK_test": -96.0304, "LK_se": 0.224, "LK_mc_error": 0.004}
    text = card(
        fixture_store.write(
            Store(tmp_path), "quick", quick_run(), L1_test=-105.114, L1_se=0.251, **of_all
        )
    )
    assert "Weights of LVAE+BN+WU with 5 stochastic layers, after" in text
    assert "(reduced protocol, not a reproduction)" in text
    assert "mnist, grey value = byte / 256; SHA-256" in text
    assert "profile quick: 5 epochs" in text
    assert "matrix products in float32" in text
    assert "| L<sub>1</sub>, test set | −105.11 ± 0.25 |" in text
    assert "10,000 test images | −96.03 ± 0.22; Monte-Carlo error 0.0040 |" in text
    assert f'load_model("{LVAE}", "quick", store="results")' in text
    assert f"`repro verify {LVAE} --profile quick --store results`" in text
    assert "Licence: MIT" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"precision": "bfloat16"}, "matrix products in bfloat16"),
        ({"precision": "bfloat16"}, f"`repro train {LVAE} --profile quick --precision bfloat16`"),
        ({"data": {"version": "rebuilt", "hash": "ab"}}, "mnist, rebuilt: other data than"),
    ],
)
def test_a_card_says_what_is_not_as_usual(tmp_path: Path, changed: dict, said: str) -> None:
    record = fixture_store.write(Store(tmp_path), "quick", quick_run())
    record.env.update(changed)
    assert said in card(record)


def test_publishing_writes_a_card_beside_each_model_and_none_without_a_record(full: Store) -> None:
    place = full.folder("weights", "quick") / f"{LVAE}.safetensors"
    place.parent.mkdir(parents=True)
    place.touch()
    page = place.with_suffix(".md")
    assert publishing.pages(full)[page] == card(full.record("quick", LVAE))
    place.rename(place.with_name("mnist-vae-L4-s9.safetensors"))
    with pytest.raises(NothingError, match="no record of mnist-vae-L4-s9"):
        publishing.pages(full)
