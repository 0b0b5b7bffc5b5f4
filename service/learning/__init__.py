"""Learning: tensors in, tensors out. No HTTP, no SQL, no settings.

To follow an update: `auto` chooses a method, `update.learn` has it make a version, in `evaluation` the version before
and the new one answer the same rows, and `gate` judges what was measured. A method is one file in `methods`. It solves
an exact head from sums (`exact`, `number_heads`, `ledger`) or trains by gradient (`training`). What a version is stands
in `network/checkpoint.py`, what a method is given and gives back in `method.py`.
"""
