"""How rows reach what trains: rounded once in a feature space whose exact sums are known, and seen in a frame.

The space is that of the frozen trunk where only neck and head train, and the scaled input where the trunk trains too.
"""

from __future__ import annotations

from functools import cached_property
from typing import cast

import torch
from torch import nn

from service.learning.architectures import Convolutions, Dense, Network
from service.learning.batch import Rows
from service.learning.features import Space, identity_network, rounded
from service.learning.frame import Frame, Framed
from service.learning.heads import GrownLinear
from service.learning.ledger import Ledger
from service.learning.method import Data, Run
from service.learning.pseudo import Gaussians
from service.learning.sums import Sums
from service.learning.training import Labelled


class View:
    """One update's rows as its network takes them for training; y is the place in `classes`.

    `moves`: the trunk trains too. Convolutions see scaled inputs as they are; any other first layer sees its frame.
    `multiply_adds`: what making features has cost so far.
    """

    def __init__(self, network: Network, classes: tuple[str, ...], data: Data, run: Run, moves: bool) -> None:
        self.network, self.classes, self.data, self.run, self.moves = network, classes, data, run, moves
        self.space = Space.of(identity_network(data.input, network.scale) if moves else network)
        self.shape = network.layout.input.shape if moves else (self.space.width,)
        self.multiply_adds = 0
        self._framed: Framed | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """Sums of the history."""
        return self.data.ledger(self.space)

    @cached_property
    def kept(self) -> Rows:
        """Rows of the history, raw inputs. Reads all of it."""
        return self.data.kept()

    @cached_property
    def entry(self) -> Rows:
        """The update's rows, rounded features."""
        self.multiply_adds += len(self.data.batch) * self.space.multiply_adds
        return self.data.entry(self.space)

    @cached_property
    def own(self) -> Labelled:
        """The update's rows, in their order."""
        return self._in_frame(self.entry)

    @property
    def selected(self) -> Labelled:
        """Selecting rows of the history, bounded a class and source."""
        rows = self.ledger.selected
        return self._in_frame(rows.take(rows.selecting))

    @cached_property
    def gaussians(self) -> Gaussians:
        """What the learning rows of the history look like, class by class."""
        return Gaussians.of_ledger(self.ledger, self.frame, self.shape)

    def of(self, rows: Rows) -> Labelled:
        """Any rows of raw inputs."""
        self.multiply_adds += len(rows) * self.space.multiply_adds
        return self._in_frame(rows.with_inputs(rounded(self.space, rows.inputs, self.run.check, self.run.progress)))

    def _in_frame(self, entry: Rows) -> Labelled:
        x = self.frame.features(entry.inputs).reshape(len(entry), *self.shape)
        return Labelled(x, torch.from_numpy(entry.codes(self.classes)))

    @cached_property
    def frame(self) -> Frame:
        """From the learning rows of the history; a first version's, from its own."""
        if isinstance(self.first_layer, nn.Conv2d):
            return Frame.none(self.space.width, self.space.shift)
        own = self.entry
        every = (self.ledger.learn, Sums.of(own.take(own.learning)), self.ledger.all, Sums.of(own))
        known = next((sums for sums in every if sums.rows), None)
        return (
            Frame.of(known, self.space.shift, common=self.moves)
            if known
            else Frame.none(self.space.width, self.space.shift)
        )

    @property
    def first_layer(self) -> GrownLinear | nn.Conv2d:
        """The first layer that trains."""
        if self.moves and isinstance(self.network.backbone, Convolutions):
            return cast(nn.Conv2d, self.network.backbone.stages[0])
        trunk = [*cast(Dense, self.network.backbone).layers] if self.moves else []
        return cast(GrownLinear, [*trunk, *self.network.neck.layers, self.network.head][0])

    def enter(self, generator: torch.Generator | None = None) -> None:
        """Before training: the first layer takes rows in the frame. With a generator it is drawn anew there."""
        layer = self.first_layer
        if isinstance(layer, GrownLinear):
            self._framed = Framed(self.frame, layer)
            if generator is not None:
                self._framed.draw(generator, gain=1.0 if layer is self.network.head else 2.0)

    def leave(self) -> None:
        """After training: it takes them as the network does."""
        if self._framed is not None:
            self._framed.leave()
            self._framed = None
