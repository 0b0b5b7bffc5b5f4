"""A child without torch: does what the name of the method in its assignment says. Started as the real one is."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    """Assignments in, what they ask for out; ends with its parent as the real child does."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            messages.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    say(ready=True)
    while True:
        assignment = messages.get().get("assignment")
        if assignment is None:
            continue
        method = assignment["steps"][0]["method"]
        match method["name"]:
            case "die":
                os._exit(3)
            case "fail":
                say(error={"slug": "learning-failed", "detail": "the rows are damaged"})
            case "refuse":
                say(error={"slug": "method-refused", "detail": "not on this backbone"})
            case "away":
                say(error={"slug": "cluster-away", "detail": "no cluster answers"})
            case "diverge":
                say(error={"slug": "diverged", "detail": "at step 3 (epoch 1 of 2)"})
            case "stand still":
                time.sleep(600)
            case "say the same":
                while True:
                    say(progress={"phase": "training", "done": 1, "total": 2})
                    time.sleep(0.01)
            case "answer":
                if "note" in method:
                    with Path(method["note"]).open("a") as note:
                        note.write(f"{os.getpid()}\n")
                say(progress={"phase": "training", "done": 1, "total": 2})
                say(result=json.loads(Path(method["result"]).read_text()))
            case "go on" | "never listen" as manner:
                go_on(messages, listens=manner == "go on", note=method.get("note"))


def go_on(messages: queue.Queue[dict[str, Any]], listens: bool, note: str | None) -> None:
    """Progress until it is cancelled, or for ever."""
    if note is not None:
        Path(note).write_text(str(os.getpid()))
    done = 0
    while True:
        done += 1
        say(progress={"phase": "training", "done": done, "total": 10**6})
        try:
            cancelled = "cancel" in messages.get(timeout=0.01)
        except queue.Empty:
            continue
        if cancelled and listens:
            say(error={"slug": "cancelled", "detail": "Somebody asked it to stop."})
            return


if __name__ == "__main__":
    main()
