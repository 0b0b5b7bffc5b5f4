"""The network of a version: `checkpoint` is a version as data, `network` builds the module of it, from blocks that
grow, convolutions, lifts, low-rank branches and the scale of inputs; `imported` takes one trained elsewhere."""
