"""Kinds of targets stand side by side: each table of kinds has all of them, and their own files alone ask which kind a
target is of, as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from service.contract.predictions import AnyPredictions
from service.contract.reports import AnyReport
from service.contract.targets import KINDS
from service.contract.targets.kind import AnyPolicy
from tests.running import ROOT

OWN = re.compile(
    r"service/([a-z_]+/)*kinds/"  # a folder of kinds has one file each
    r"|service/contract/(targets/|policy|report|number_policy|number_report|predictions)"
    r"|service/learning/(auto|number_heads|training/aims)/|service/learning/(evaluation|gate)/(classes|numbers)/"
    r"|tsuika/sklearn"
)
"""Files of one kind, of the contract of kinds, or of a table of them."""
NAMES = {kind.__name__: name for name, kind in KINDS.items()}
REPORTS, ANSWERS, POLICIES = get_args(get_args(AnyReport)[0]), get_args(AnyPredictions), get_args(AnyPolicy)
OF_ONE_KIND = {*NAMES, *(each.__name__ for each in (*REPORTS, *ANSWERS, *POLICIES)), "NumberGrid"}
KIND = re.compile(r".*(target|layout|report|answer)\.kind|(.*\.)?predicts|.*\.word")
GRID = re.compile(r"(.*\.)?(layout|space|self)\.numbers")
LIKE = {"has_classes", "measured", "numeric"}
"""What a target, or rows, are like where only some kinds are: asked in a condition, it is a branch."""
BRANCHES = {
    "service/api/bodies/ledger_body.py": 1,  # whether the sums have a column a class
    "service/api/bodies/new_batch.py": 2,  # names are a vocabulary
    "service/api/bodies/row_bodies.py": 1,  # which of two members of a body must not come
    "service/api/preconditions.py": 1,  # classes are declared
    "service/api/routes/batches.py": 1,  # classes are declared
    "service/api/routes/corrections.py": 2,  # by which version suspects are named, and of how many rows
    "service/api/routes/versions.py": 1,  # weights come with names of classes
    "service/cli/files/corrections.py": 1,  # cells are read as numbers
    "service/cli/files/rows.py": 1,  # cells are read as numbers
    "service/cli/people/correct.py": 1,  # new labels are refused
    "service/cli/people/push.py": 1,  # new labels are asked about
    "service/client/answer_table.py": 1,  # the class of an answer with its table
    "service/client/learning.py": 1,  # which of two members of a body is sent
    "service/client/asking.py": 1,  # columns of a table of answers have the names of numbers
    "service/client/rows/guess.py": 3,  # which kind a new model is of
    "service/intake/formats/csv_header.py": 1,  # cells are read as numbers
    "service/intake/formats/csv_table.py": 1,  # the same
    "service/learning/data/rows.py": 3,  # rows are kept by class, or by source
    "service/learning/data/serialization.py": 1,  # rows with targets have a column of them
    "service/learning/exact/source_heads.py": 1,  # a source has rows of two classes
    "service/learning/ledger/feature_space.py": 2,  # limbs of targets stand beside features
    "service/learning/methods/expand/den.py": 1,  # what is new is a class
    "service/learning/methods/freeze/linear_probe.py": 1,  # pseudo-rows stand for classes
    "service/learning/network/checkpoint.py": 3,  # which kind a layout is of, and what it holds of it
    "service/web/pages/make.py": 2,  # which kind a new model is of
    "service/worker/child/data/stored_data.py": 1,  # sums of one batch of targets are held
}
"""Conditions outside of them that depend on the kind, by file: what each decides. No more are to come."""


@cache
def files() -> list[tuple[str, ast.Module]]:
    paths = [path for folder in ("service", "tsuika") for path in sorted(Path(ROOT, folder).rglob("*.py"))]
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())) for path in paths]


def conditions(tree: ast.AST) -> Iterator[ast.AST]:
    """What is asked before a branch is taken; assertions take none."""
    for node in ast.walk(tree):
        match node:
            case ast.If() | ast.IfExp() | ast.While():
                yield node.test
            case ast.comprehension():
                yield from node.ifs
            case ast.Match():
                yield node


def asks_the_kind(condition: ast.AST) -> bool:
    if isinstance(condition, ast.Match):
        patterns = [node for case in condition.cases for node in ast.walk(case.pattern)]
        classes = {ast.unparse(node.cls) for node in patterns if isinstance(node, ast.MatchClass)}
        return bool(KIND.fullmatch(ast.unparse(condition.subject)) or classes & OF_ONE_KIND)
    for node in ast.walk(condition):
        match node:
            case ast.Attribute(attr=name) if name in LIKE:
                return True
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, types]):
                if OF_ONE_KIND.intersection(re.findall(r"\w+", ast.unparse(types))):
                    return True
            case ast.Call(func=ast.Name(id="hasattr"), args=[ast.Name(id="report" | "target" | "answer"), _]):
                return True
            case ast.Compare(left=left, comparators=[right]):
                sides = {ast.unparse(left), ast.unparse(right)}
                if OF_ONE_KIND & sides or ("None" in sides and any(map(GRID.fullmatch, sides))):
                    return True
                if "None" not in sides and any(map(KIND.fullmatch, sides)):
                    return True
    return False


def branches(tree: ast.AST) -> int:
    return sum(map(asks_the_kind, conditions(tree)))


def tables(tree: ast.AST) -> Iterator[set[str]]:
    """The kinds that a table is keyed by, where it is keyed by two or more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = {NAMES.get(key.id, key.id) for key in node.keys if isinstance(key, ast.Name)}
            keys |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
            if len(keys & {*KINDS}) > 1 and len(keys) == len(keys & {*KINDS}):
                yield keys


def test_each_table_of_kinds_of_targets_has_all_of_them() -> None:
    found = [(name, keys) for name, tree in files() for keys in tables(tree)]
    assert [name for name, keys in found if keys != {*KINDS}] == []
    there = {name for name, _ in found}
    listed = re.findall(r"`(service/[a-z_/.]+\.py)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert there <= {*listed}
    assert len(REPORTS) == len(ANSWERS) == len(POLICIES) == len(KINDS)
    assert {report.kind for report in REPORTS} == {answer.kind for answer in ANSWERS} == {*KINDS}
    assert {kind.Policy for kind in KINDS.values()} == {*POLICIES}


def test_no_file_asks_which_kind_a_target_is_of_but_those_of_the_kinds() -> None:
    found = Counter({name: branches(tree) for name, tree in files() if not OWN.match(name)})
    assert {name: count for name, count in found.items() if count} == BRANCHES


@pytest.mark.parametrize(
    "code",
    [
        "if isinstance(report, NumberReport): pass",
        "x = 1 if not isinstance(model.target, ClassTarget) else 2",
        "if type(target) is NumberTarget: pass",
        "if data.target.kind == 'number': pass",
        "if 'class' != info.target.kind: pass",
        "if layout.numbers is None: pass",
        "while space.numbers is not None: pass",
        "if (target := model.target).has_classes and rows: pass",
        "[row for row in rows if model.target.measured]",
        "match target:\n case NumberTarget(): pass",
        "match target.kind:\n case 'number': pass",
        "if hasattr(report, 'tested'): pass",
        "if due.word == TARGETS: pass",
        "if form.predicts != 'number': pass",
    ],
)
def test_a_branch_by_kind_is_seen(code: str) -> None:
    assert branches(ast.parse(code)) == 1


@pytest.mark.parametrize(
    "code", ["if column.kind == 'number': pass", "assert isinstance(answer, NumberPredictions)", "KINDS[target.kind]"]
)
def test_what_is_none_is_not_taken_for_one(code: str) -> None:
    assert branches(ast.parse(code)) == 0
