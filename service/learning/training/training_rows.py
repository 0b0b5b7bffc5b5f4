"""The rows that a learner trains on: rounded once in a feature space whose exact sums are known, and seen in a frame.

The space is that of the frozen trunk where only neck and head train, and the scaled input where the trunk trains too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch

from service.contract.inputs import TextInput
from service.learning.backbones.extractor import Extractor
from service.learning.data.memory import remember
from service.learning.data.rows import FeatureRows, Rows, bounded
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.headless_networks import examining_network, identity_network
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.blocks import GrownLinear
from service.learning.network.convolutions import Convolutions, Stage
from service.learning.network.input_scale import scaled_shape
from service.learning.network.network import Network
from service.learning.run import Run
from service.learning.training.aims.aim import Aim
from service.learning.training.frame import Frame, Framed
from service.learning.training.pseudo_rows import Gaussians
from service.learning.training.training_set import Labelled
from service.learning.update_data import Data

HIDDEN_GAIN = 1 / 3
"""Variance of a first hidden layer's outputs as it is drawn: small, so that what it learns outweighs the draw."""


class TrainingRows:
    """One update's rows as its network takes them for training; y is what the aim learns of them.

    `moves`: the trunk trains too. Convolutions see scaled images as they are, without a ledger, so of the history they
    have the rows that are kept. So does a pretrained network (`thawed`); its head has the frame of the features before
    training. Any other first layer sees its frame.
    `multiply_adds`: the work of making features so far.
    """

    def __init__(self, network: Network, aim: Aim, data: Data, run: Run, moves: bool) -> None:
        self.network, self.aim, self.data, self.run, self.moves = network, aim, data, run, moves
        self.thawed = moves and isinstance(network.backbone, Extractor)
        self.images = moves and isinstance(network.backbone, Convolutions | Extractor)
        self.multiply_adds = 0
        self._framed: Framed | None = None

    @cached_property
    def space(self) -> Space:
        """The space in which rows are rounded before training; images have none."""
        assert not self.images or self.thawed
        frozen = self.thawed or not self.moves
        numbers = self.network.layout.numbers
        return Space.of(
            self.network if frozen else identity_network(self.data.input, self.network.scale, numbers=numbers)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return scaled_shape(self.data.input) if self.moves and not self.thawed else (self.space.features,)

    @cached_property
    def ledger(self) -> Ledger:
        return self.data.ledger(self.space)

    @property
    def counted(self) -> Ledger:
        """Sums of the history in some space, for its counts."""
        return self.data.ledger(self._some_space)

    @property
    def grown(self) -> Ledger:
        """Sums of history and update in some space."""
        return self.data.grown(self._some_space)

    @property
    def _some_space(self) -> Space:
        """The space of the rows; of images, which have none, that in which they are examined."""
        if not self.images or self.thawed:
            return self.space
        network = examining_network(self.data.input, self.network.scale)
        network.layout = network.layout.model_copy(update={"numbers": self.network.layout.numbers})
        return Space.of(network)

    @cached_property
    def kept(self) -> Rows:
        """Kept rows of the history, raw inputs. Reads all of it."""
        return self.data.kept()

    @cached_property
    def entry(self) -> FeatureRows:
        """The update's rows, rounded features."""
        self.multiply_adds += len(self.data.batch) * self.space.multiply_adds
        return self.data.entry(self.space)

    @cached_property
    def own(self) -> Labelled:
        """The update's rows in their order."""
        return self._scaled(self.data.batch) if self.images else self._in_frame(self.entry)

    @property
    def selected(self) -> Labelled:
        """Selecting rows of the history, bounded a class and source."""
        if self.images:
            return self._scaled(bounded(self.kept.take(self.kept.selecting), by_source=True))
        rows = self.ledger.selected
        return self._in_frame(rows.take(rows.selecting))

    @cached_property
    def gaussians(self) -> Gaussians:
        return Gaussians.of_ledger(self.ledger, self.frame, self.shape)

    def stand_ins(self, most: int, generator: torch.Generator) -> Labelled:
        """At most `most` rows of each known class, never more than it had: pseudo-rows; of images and of numbers, which
        no Gaussian draws, kept rows with the smallest hash."""
        if self.aim.drawn and not self.images:
            return self.gaussians.draw(most, self.aim.names, generator)
        rows = self.kept.take(self.kept.learning)
        return self.of(remember(rows, sum(min(n, most) for n in rows.counts().values())))

    def remembered(self, size: int) -> Rows:
        """At most `size` of the kept learning rows, raw inputs: the memory of what was known."""
        return remember(self.kept.take(self.kept.learning), size)

    def of(self, rows: Rows) -> Labelled:
        """Converts rows of raw inputs."""
        if self.images:
            return self._scaled(rows)
        self.multiply_adds += len(rows) * self.space.multiply_adds
        return self._in_frame(feature_rows(self.space, rows, self.run))

    def _in_frame(self, entry: FeatureRows) -> Labelled:
        x = self.frame.features(entry.inputs[:, : self.space.features]).reshape(len(entry), *self.shape)
        return Labelled(x, self.aim.targets(entry))

    def _scaled(self, rows: Rows) -> Labelled:
        with torch.no_grad():
            x = self.network.prepare(rows.inputs)
            if not isinstance(self.data.input, TextInput):
                x = self.network.scale(x)
        return Labelled(x, self.aim.targets(rows))

    @cached_property
    def frame(self) -> Frame:
        """The frame of the learning rows of the history; for a first version, of its own rows."""
        known = next((sums for sums in self._sums() if sums.rows), None)
        return (
            Frame.of(known.first(self.space.features), self.space.shift, common=self.moves and not self.thawed)
            if known
            else Frame.none(self.space.features, self.space.shift)
        )

    def _sums(self) -> Iterator[Sums]:
        """Yields the sums that a frame may be made of, the best first. Each is made on demand: products of wide rows
        cost as much as a training on them."""
        own = self.entry
        yield self.ledger.learn
        yield Sums.of(own.take(own.learning))
        yield self.ledger.all
        yield Sums.of(own)

    @property
    def rate(self) -> float:
        return 1.0 if self._framed is None else self.frame.rate

    @property
    def first_layer(self) -> GrownLinear:
        layers = [*self.network.hidden_layers(), self.network.head]
        behind_backbone = len(layers) - len(self.network.neck.layers) - 1
        return layers[0] if self.moves and not self.thawed else layers[behind_backbone]

    def enter(self, generator: torch.Generator | None = None) -> None:
        """Moves the first layer into the frame before training. With a generator it is drawn anew there."""
        layer = self.first_layer
        if not isinstance(layer, Stage):
            self._framed = Framed(self.frame, layer, self.network.low_rank)
            if generator is not None:
                self._framed.draw(generator, gain=1.0 if layer is self.network.head else HIDDEN_GAIN)

    def leave(self) -> None:
        """Moves the first layer back after training."""
        if self._framed is not None:
            self._framed.leave()
            self._framed = None
