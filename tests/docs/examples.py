"""The page of examples, made from the programs in `examples`."""

from __future__ import annotations

import ast

from tests.running import ROOT

EXAMPLES = ("digits", "images", "support_texts", "prices", "drift", "from_torch")
"""Programs that take some seconds, in the order of the page."""
BEGINNING = """# Examples

Short programs that talk to a running service. Start one in a terminal, run an example in another, from a checkout:

```console
$ tsuika serve
$ python -m examples.digits
```

Each makes a model of a new name, so it can be run again. `examples/cifar` is a longer one: it grows a model from the
ten classes of CIFAR-10 to a hundred, in one update, from files that you download yourself.
"""


def examples_page() -> str:
    """A section for each program: what it shows, and its text."""
    sections = []
    for name in EXAMPLES:
        text = (ROOT / "examples" / f"{name}.py").read_text()
        about = ast.get_docstring(ast.parse(text)) or ""
        title, _, rest = about.partition(":")
        code = text.split("from __future__ import annotations\n\n")[1]
        sections.append(f"## {title}\n\n{rest.strip()[:1].upper()}{rest.strip()[1:]}\n\n```python\n{code}```\n")
    return "\n".join([BEGINNING, *sections])
