"""Every method trains on the device that it is told, with all that goes with it, and makes there what a CPU makes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from service.contract.targets.number_target import NumberTarget
from service.errors import DeviceFull, DeviceMissing
from service.learning import devices
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.method import Learned
from service.learning.method_params import GradientParams
from service.learning.methods import METHODS, resolve
from service.learning.network.convolutions import Convolutions
from service.learning.network.lifts import make_lift
from service.learning.network.network import build, lift_layouts
from service.learning.run import Run
from service.learning.training import fit as training
from service.learning.training import optimiser
from service.learning.training.aims.classes import CrossEntropy
from service.learning.training.fit import fit, logits
from service.learning.training.training_set import TrainingSet
from tests.devices import Beside, beside
from tests.learning import test_conformance as classes
from tests.learning import test_number_conformance as numbers
from tests.learning.every_method import OFTEN
from tests.learning.training.test_fit import body, rows, weights

BRIEF = {"epochs": 1}
UNFROZEN = {"unfreeze": 1}
"""Lets filters of a backbone train, which lie otherwise in memory meanwhile."""
CASES = [
    *(("class", name, "mlp") for name in METHODS),
    *(("class", name, "cnn") for name in ("ridge", "fine_tune", "den", "lora", "branch")),
    *(("class", name, "pretrained") for name in ("ridge", "linear_probe", "lora", "fine_tune")),
    *(("number", name, "mlp") for name in numbers.LEARN_NUMBERS),
]


@pytest.fixture
def device() -> Iterator[torch.device]:
    with beside() as device:
        yield device


@pytest.fixture(autouse=True)
def _every_step_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU: an accelerator is asked for the loss of some steps alone, and clips in another order."""
    monkeypatch.setattr(training, "UNSEEN_STEPS", 1)


def learned(target: str, name: str, backbone: str, run: Run) -> Learned | str:
    method = METHODS[name]
    own = UNFROZEN if (name, backbone) == ("fine_tune", "pretrained") else {}
    params = resolve({"name": name, **own, **(BRIEF if issubclass(method.Params, GradientParams) else {})})[1]
    if target == "class":
        base, data = classes.offered(backbone, "345", 6)
        refusal = classes.refusal(method, base, data)
        return refusal or method.update(base, data, params, run)
    base, numbered = numbers.offered(backbone, 12)
    return method.others.get(NumberTarget, method.update)(base, numbered, params, run)


@pytest.mark.parametrize(
    ("target", "name", "backbone"),
    [pytest.param(*case, marks=() if case[1] in OFTEN else pytest.mark.long) for case in CASES],
    ids=lambda word: str(word),
)
def test_every_method_learns_there_what_it_learns_on_a_cpu(
    target: str, name: str, backbone: str, device: torch.device
) -> None:
    here = learned(target, name, backbone, Run(seed=1))
    Beside.asked.clear()
    there = learned(target, name, backbone, Run(seed=1, device=device))
    if isinstance(here, str) or isinstance(there, str):
        assert here == there
        return
    if backbone != "mlp":  # filters lie otherwise in memory there, and means over fields are added in another order
        parts = ((here.checkpoint.parts[part], tensors) for part, tensors in there.checkpoint.parts.items())
        assert all(torch.allclose(a[key], b[key], rtol=1e-3, atol=1e-3) for a, b in parts for key in b)
    else:
        assert classes.bits(there.checkpoint) == classes.bits(here.checkpoint)
        assert there.details == here.details
    trains = issubclass(METHODS[name].Params, GradientParams)
    assert not trains or Beside.asked["aten._fused_sgd_.default"], "it trained somewhere else"


def test_features_and_lifts_are_made_there_and_the_network_keeps_its_tensors(device: torch.device) -> None:
    base, data = classes.offered("mlp", "345", 6)
    lifted = build(base)
    lifted.lifts.append(make_lift("relu", (lifted.backbone.width,), 16))
    lifted.layout = lifted.layout.model_copy(update={"shift": 10, "lifts": lift_layouts(list(lifted.lifts))})
    space = Space.of(lifted)
    before = [*lifted.parameters(), *lifted.buffers()]
    here = feature_rows(space, data.batch)
    Beside.asked.clear()
    there = feature_rows(space, data.batch, Run(device=device))
    assert Beside.asked["aten.addmm.default"] + Beside.asked["aten.mm.default"] >= 2
    assert np.array_equal(here.inputs, there.inputs)
    assert all(a is b for a, b in zip(before, [*lifted.parameters(), *lifted.buffers()], strict=True))


@pytest.mark.parametrize("side", [4, 7, 9])
def test_means_over_fields_are_the_same_there(device: torch.device, side: int) -> None:
    maps = torch.randn(2, 3, side, side + 1)
    backbone = Convolutions([], (4, 4))
    assert torch.allclose(backbone.pooled(maps.to(device)).cpu(), backbone.pooled(maps), atol=1e-6)


def test_more_rows_than_a_device_holds_come_a_few_steps_at_a_time(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> list[torch.Tensor]:
        module = body()
        fit(
            module, TrainingSet(rows(), rows(40), rows(30)), GradientParams(epochs=2, batch_size=16), Run(device=device)
        )
        return weights(module)

    resident = trained()
    monkeypatch.setattr(optimiser, "RESIDENT", 0)
    assert all(torch.equal(a, b) for a, b in zip(resident, trained(), strict=True))


def test_steps_whose_loss_nobody_looks_at_are_clipped_all_the_same(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "UNSEEN_STEPS", 4)
    wild = rows()._replace(x=100 * rows().x)
    here, there = body(), body()
    for module, run in ((here, Run()), (there, Run(device=device))):
        fit(module, TrainingSet(wild), GradientParams(epochs=2, batch_size=16), run)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(weights(here), weights(there), strict=True))


def test_a_step_that_does_not_fit_is_done_in_two_halves() -> None:
    """The gradients of both, by their rows, add up to that of the step: with memory, and of an odd number of rows."""

    def trained(most: int) -> tuple[list[torch.Tensor], int]:
        module, data = body(), rows(45)
        loss = CrossEntropy().mixed(2, data.y, rows(30, 2).y)

        def objective(body: torch.nn.Module, step: training.Step) -> torch.Tensor:
            if len(step.y) > most:
                raise RuntimeError("MPS backend out of memory")
            return loss(body(step.x), step.y)

        params = GradientParams(epochs=3, batch_size=15)
        done = fit(module, TrainingSet(data, rows(30, 2)), params, Run(), training.Hooks(objective))
        return weights(module), done.multiply_adds

    (whole, work), (halved, again) = trained(30), trained(16)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, halved, strict=True))
    assert again == work
    with pytest.raises(DeviceFull, match=r"8 rows at once, half of batch_size 15.*4 numbers a row, 10 weights"):
        trained(15)


@pytest.mark.parametrize(
    "full",
    [
        torch.OutOfMemoryError("full"),
        RuntimeError("MPS backend out of memory (MPS allocated: 7.64 GiB). Tried to allocate 1.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_rows_that_cannot_be_answered_at_once_are_answered_a_few_at_a_time(full: RuntimeError) -> None:
    module = body()

    class Narrow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 200:
                raise full
            answered: torch.Tensor = module(x)
            return answered

    x = rows(500).x
    assert torch.allclose(logits(Narrow(), x, Run()), module(x).detach(), atol=1e-6)
    full = RuntimeError("another")
    with pytest.raises(RuntimeError, match="another"):
        logits(Narrow(), x, Run())


def test_a_device_is_found_by_its_name_or_refused_with_those_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.device_named("cpu") == torch.device("cpu")
    with pytest.raises(DeviceMissing, match=r"no device cuda:7 here. There is .*cpu"):
        devices.device_named("cuda:7")
    monkeypatch.setattr(devices, "devices", lambda: ["cuda:0", "cuda:1", "cpu"])
    named = {name: str(devices.device_named(name)) for name in ("auto", "cuda", "cuda:1", "cpu")}
    assert named == {"auto": "cuda:0", "cuda": "cuda:0", "cuda:1": "cuda:1", "cpu": "cpu"}
    with pytest.raises(DeviceMissing, match="There is cuda:0, cuda:1, cpu; auto takes cuda:0"):
        devices.device_named("mps")


def test_what_an_accelerator_computes_is_asked_to_be_deterministic_and_a_cpu_stays_as_it_is(
    device: torch.device,
) -> None:
    with devices.deterministic(devices.CPU):
        assert not torch.are_deterministic_algorithms_enabled()
    with devices.deterministic(device):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
