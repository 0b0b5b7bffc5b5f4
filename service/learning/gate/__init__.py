"""The judge: measurements in, verdict out, a pure function. A folder a kind of target has its measurements, its
rules and its words; `gate` makes the verdict of what the rules find, `verdicts` words it."""
