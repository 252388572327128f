"""Each model ranks as its paper does, and every result says how."""

from typing import Any

import pytest

from personsearch.models.alignps import AlignPSConfig
from personsearch.models.base import ranks_by_score
from personsearch.models.coat import COATConfig
from personsearch.models.dkd import DKDConfig
from personsearch.models.rcnn import RCNNConfig
from personsearch.models.reid import ReidConfig
from personsearch.models.roi_alignps import ROIAlignPSConfig
from personsearch.models.seqnet import SeqNetConfig
from personsearch.models.seqnext import SeqNeXtConfig
from personsearch.models.trident import TridentConfig
from personsearch.ranking import CBGM, GFN, rule_name
from personsearch.searching import SearchOptions
from personsearch.weights.folder import fingerprint
from tests.helpers.fakes import RectangleModel

PAPERS: dict[str, tuple[Any, bool]] = {
    "oim": (RCNNConfig, False),
    "nae": (RCNNConfig, True),  # "confidence weighted similarity"
    "seqnet": (SeqNetConfig, True),
    "seqnext": (SeqNeXtConfig, True),
    "coat": (COATConfig, True),
    "trident": (TridentConfig, True),
    "dkd": (DKDConfig, False),
    "alignps": (AlignPSConfig, False),
    "roi-alignps": (ROIAlignPSConfig, False),
}


@pytest.mark.parametrize("architecture", PAPERS)
def test_a_config_ranks_as_its_paper(architecture: str) -> None:
    """A config.json that was written before does not say how it ranks."""
    config, weighted = PAPERS[architecture]
    read: Any = config.model_validate({"architecture": architecture, "name": "mine"})
    assert read.confidence_weighted is weighted
    other: Any = config.model_validate({"architecture": architecture, "name": "mine", "confidence_weighted": not weighted})
    assert other.confidence_weighted is not weighted


def test_a_model_that_does_not_say_ranks_by_cosine() -> None:
    model: Any = RectangleModel()
    assert not ranks_by_score(model)
    assert SearchOptions().of_model(model).rule == "cosine"
    model.confidence_weighted = True
    assert SearchOptions().of_model(model).rule == "cosine x score"
    assert SearchOptions(confidence_weighted=False).of_model(model).rule == "cosine"


def test_the_rule_in_words() -> None:
    assert rule_name(confidence_weighted=True, gfn=GFN()) == "cosine x score x scene score"
    assert rule_name(confidence_weighted=False, rerank=CBGM(10, 3)) == "cosine, CBGM 10,3 (paper)"


def test_a_gallery_outlives_another_rule() -> None:
    """How a search ranks decides no feature, so the fingerprint of the features stays."""
    old = {"architecture": "trident", "name": "mine"}
    assert fingerprint(old | {"confidence_weighted": True}, []) == fingerprint(old, [])
    assert fingerprint(old | {"min_score": 0.2}, []) != fingerprint(old, [])


def test_a_crop_network_has_no_score() -> None:
    assert "confidence_weighted" not in ReidConfig.model_fields
