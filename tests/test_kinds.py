"""Each table of kinds of targets has all of them, as CONTRIBUTING.md lists them."""

from __future__ import annotations

from typing import get_args

from service.client.answers import SCORES
from service.contract import targets
from service.contract.number_report import AnyReport
from service.contract.predictions import AnyPredictions
from service.contract.targets import KINDS
from service.learning.auto import TABLES
from service.learning.evaluation.kinds import CONTEXTS
from service.learning.gate.verdicts import GAINED
from service.learning.training.aims import AIMS
from service.web import kinds
from service.worker.parent.lineage import LINEAGES


def test_each_table_of_kinds_of_targets_has_all_of_them() -> None:
    of_targets, of_reports = {*KINDS.values()}, {*get_args(get_args(AnyReport)[0])}
    for table in (targets._POLICIES, AIMS, TABLES, CONTEXTS, LINEAGES):
        assert {*table} == of_targets
    assert {*GAINED} == of_reports
    assert {*kinds._KINDS} == of_targets | of_reports
    assert {*KINDS} == {*SCORES} == {answer.kind for answer in get_args(AnyPredictions)}
    assert len(of_targets) == len(of_reports)
