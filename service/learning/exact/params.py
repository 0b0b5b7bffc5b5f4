"""Parameters of closed forms."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from service.errors import MethodRefused
from service.learning.exact.decay import DECAYS, DecayChoice, choose_decay
from service.learning.exact.frozen_features import NO_LIFT, moved, space_stays
from service.learning.exact.solver import Solver
from service.learning.exact.source_heads import SourceHeads, Wish
from service.learning.ledger.batch_weights import OTHERS, BatchWeights
from service.learning.ledger.feature_space import Space
from service.learning.method_params import MethodParams
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.network.lifts import NO_IMAGE, UNLIFTED, LiftKind, NamedLifts
from service.learning.network.network import TRAINED_HERE
from service.learning.update_data import Data, Setting
from service.learning.wording import listed

USUAL_PRIOR = 0.25
"""Power of the counts in the equations. With more of it a class with few rows beside many is hardly answered: of a
class with 20 rows beside 3,000 the head found 34 % with this, none with 0.5. What classes' shares count beyond that is
fitted (`calibration`)."""


class ExactParams(MethodParams):
    """What every closed form takes. Everything has a default that looks at the data."""

    lift: Literal["auto"] | LiftKind | Annotated[list[LiftKind], Field(min_length=1, max_length=4)] = Field(
        default="auto",
        description="Map in front of the head: none, relu or fourier (random features), sparse (relu whose features "
        "see three inputs each, on average), conv (random convolutions, for images), or a list of those side by side. "
        "auto: by rows kept back for choosing, and again when rows have doubled; one that was far ahead of the others "
        "stays once without that. A named lift makes the head a function of the rows alone, whatever their order.",
    )
    width: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Features of a named lift (auto chooses its own): by default 1,000, for conv 64 filters (small "
        "images 32). auto takes 2,000 once there are more than 14,000 rows, and twice the filters where 64 leave a "
        "tenth of the rows wrong.",
    )
    features: Literal["version", "input"] = Field(
        default="version",
        description="What the head stands on where the version has a network that was trained here: its features, or "
        "the scaled input and its lifts, as in a model that never trained one.",
    )
    prior: Literal["fitted", "uniform", "counted"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default="fitted",
        description="How much a class's rows count for its prior: their number to this power; uniform 0, counted 1. "
        "fitted: as far as makes scores right on rows kept back, for rows that come in the shares that were learned. "
        "0.25: rare classes are answered more often than they come.",
    )

    decay: Literal["search"] | Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="What a batch counts less with every later one, in the order of their ids. 1: all alike, exact and "
        f"order-free. search: out of {', '.join(f'{decay:g}' for decay in DECAYS)}, by how each would have answered "
        "the last batches before they were learned; 1 unless another is surely better. Left out: 1; where targets are "
        "numbers, search.",
    )
    half_life: float | None = Field(
        default=None, gt=0, le=1e6, description="The same in batches: a batch counts half as much after so many more."
    )
    source_weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field(
        default={},
        max_length=1000,
        description='What a source counts, by name; "*" stands for those that are not named, which count 1 otherwise. '
        "0 leaves it out.",
    )

    per_source: Wish = Field(
        default="auto",
        description="A head for each source, pulled to the shared one, for predictions that name their source. auto: "
        "where two sources have enough rows and the shared head does no better on rows kept back for choosing.",
    )

    @model_validator(mode="after")
    def _one_decay(self) -> Self:
        if self.half_life is not None and self.decay not in (None, 1):
            raise ValueError("give decay or half_life, not both")
        return self

    @field_validator("lift")
    @classmethod
    def _each_once(cls, lift: str | list[LiftKind]) -> str | list[LiftKind]:
        if isinstance(lift, list) and len(set(lift)) < len(lift):
            raise ValueError("a lift is named once")
        return lift

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, convolutions of what is no image, any lift of a backbone that was trained here, and where rows
        were deleted any lift but the version's own, or the scaled input."""
        if refusal := super().unfit(setting):
            return refusal
        shape, live, lifts = setting.input.shape, setting.live, self.lifts
        kinds = (lifts or UNLIFTED).kinds
        trained = live is not None and (isinstance(live.backbone, TRAINED_HERE) or moved(live))
        if trained and self.features == "version" and kinds != UNLIFTED.kinds:
            return "lift", NO_LIFT
        if live is not None and setting.lost:
            if self.features != "version" and isinstance(live.backbone, TRAINED_HERE):
                return "features", _input_lost(setting.lost)
            if lifts is not None and kinds != (tuple(lift.kind for lift in live.lifts) or UNLIFTED.kinds):
                return "lift", space_stays(live, setting.lost)
        return ("lift", NO_IMAGE) if "conv" in kinds and (len(shape) != 3 or min(shape[1:]) < 3) else None

    @property
    def lifts(self) -> NamedLifts | None:
        """Lifts by name; None: auto."""
        if self.lift == "auto":
            return None
        return NamedLifts(tuple(self.lift) if isinstance(self.lift, list) else (self.lift,), self.width)

    def under(self, base: Checkpoint | None, data: Data) -> Checkpoint | None:
        """Returns the version under the head: the base, or its scale and classes alone where its network is not wanted.

        Raises MethodRefused where rows are gone that would have to be summed anew.
        """
        if base is None or self.features == "version" or not isinstance(base.layout.backbone, TRAINED_HERE):
            return base
        if data.kept_rows < data.known_rows:
            raise MethodRefused.at("/method/features", _input_lost(data.known_rows - data.kept_rows))
        layout = Layout(input=base.layout.input, classes=list(base.classes))
        known = {"scale": base.learned.get("scale", frozenset())}
        return Checkpoint(layout, {"scale": base.parts["scale"]}, known)

    def weights(self, data: Data, space: Space, solver: Solver) -> tuple[BatchWeights, DecayChoice]:
        """Returns the weights of batches for a head of that solver, and how their decay was chosen."""
        chosen = self.given_decay
        if chosen is None:
            solve = partial(solver.solve, shift=space.shift, alpha=None)
            chosen = choose_decay(data, space, self.source_weights, repr(solver), solve)
        return BatchWeights(chosen.decay, self.source_weights), chosen

    def notes(
        self, data: Data, weights: BatchWeights, heads: SourceHeads[Any] | None, too_few: str, remedy: str = ""
    ) -> list[str]:
        """Returns notes on heads of sources (`too_few`: why there are none), on weights of sources that no batch names,
        on a width that nothing has, and on what weights cost (`remedy`)."""
        notes = [heads.note] if heads else [too_few] if self.per_source is True else []
        if nowhere := sorted(data.unknown_sources(set(weights.sources) - {OTHERS} - set(data.batch.sources))):
            notes.append(f"source_weights names {listed(nowhere, quote=True)}, and no batch comes from there.")
        if self.width is not None and self.lifts is None:
            notes.append("width was left aside: it is of a named lift, and auto chooses its own.")
        if not weights.whole:
            notes.append(
                f"Weighted: {weights.sentence()}. The head depends on the order of the batches, so it is not exact; "
                f"the certificate is of the unweighted sums.{remedy}"
            )
        return notes

    @property
    def given_decay(self) -> DecayChoice | None:
        """The decay as it was asked for, 1 where nothing was; None: to be searched."""
        if self.half_life is not None:
            return DecayChoice(0.5 ** (1 / self.half_life))
        return None if self.decay == "search" else DecayChoice(1.0 if self.decay is None else self.decay)

    @property
    def fades(self) -> bool:
        return self.decay not in (None, 1) or self.half_life is not None

    @property
    def tau(self) -> float:
        """The prior in the equations, as a power of the counts."""
        named = {"fitted": USUAL_PRIOR, "uniform": 0.0, "counted": 1.0}
        return named[self.prior] if isinstance(self.prior, str) else self.prior


def _input_lost(rows: int) -> str:
    return (
        f"{rows:,} learned rows were deleted, and nothing is known of their scaled input. Leave features out: then the "
        "head stands on the version's own."
    )
