"""Our methods beside RanPAC, Avalanche, scikit-learn and river: the same splits, network, epochs and kept rows.

    python -m benchmarks.peers [--data FOLDER] [--streams digits-vectors,mnist10k] [--methods ewc,avalanche] [--seeds N]

`pip install -e '.[peers]'` brings the peers. One that cannot be imported is named, and the others run. It is
`benchmarks.learning` with other methods: further ones, of ours and of theirs ("Avalanche replay"), may be named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks import learning
from benchmarks.learners.ranpac import RANPAC

USUAL = "auto,lda,ewc,ewc:masked=false,si,si:masked=false,mas,mas:masked=false,lwf,replay,der_pp,icarl,fine_tune"


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    return learning.main(words, "peers", __doc__, f"{USUAL},{RANPAC},avalanche,sklearn,river linear,river tree")


if __name__ == "__main__":
    sys.exit(main())
