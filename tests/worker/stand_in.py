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

from service.errors import Cancelled, ChildFailed, ClusterAway, Diverged, MethodRefused
from service.tuning.messages import Asks, Done, Message, Progress, Ready, Refused, Saved, line_of


def say(message: Message) -> None:
    print(line_of(message), end="", flush=True)


def main() -> None:
    """Assignments in, what they ask for out; ends with its parent as the real child does."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            messages.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    say(Ready())
    while True:
        assignment = messages.get().get("assignment")
        if assignment is None:
            continue
        method = assignment["steps"][0]["method"]
        match method["name"]:
            case "die":
                os._exit(3)
            case "fail":
                say(Refused.of(ChildFailed("the rows are damaged")))
            case "refuse":
                say(Refused.of(MethodRefused("not on this backbone")))
            case "away":
                say(Refused.of(ClusterAway("no cluster answers")))
            case "diverge":
                say(Refused.of(Diverged("at step 3 (epoch 1 of 2)")))
            case "stand still":
                time.sleep(600)
            case "say the same":
                while True:
                    say(Progress("training", 1, 2))
                    time.sleep(0.01)
            case "answer":
                if "note" in method:
                    with Path(method["note"]).open("a") as note:
                        note.write(f"{os.getpid()}\n")
                say(Progress("training", 1, 2))
                say(Done(json.loads(Path(method["result"]).read_text())))
            case "ask":
                say(Asks())
                counts = messages.get()["history"]["counts"]
                say(Refused.of(MethodRefused(f"it was told of {sum(counts.values())} rows")))
            case "go on" | "never listen" | "save on" as manner:
                go_on(messages, manner, note=method.get("note"))


def go_on(messages: queue.Queue[dict[str, Any]], manner: str, note: str | None) -> None:
    """Progress until it is cancelled, or for ever, with a save once it was asked to stop."""
    if note is not None:
        Path(note).write_text(str(os.getpid()))
    done = 0
    while True:
        done += 1
        say(Progress("training", done, 10**6))
        try:
            cancelled = "cancel" in messages.get(timeout=0.01)
        except queue.Empty:
            continue
        if cancelled and manner == "save on":
            say(Saved("0" * 64))
        if cancelled and manner == "go on":
            say(Refused.of(Cancelled("Somebody asked it to stop.")))
            return


if __name__ == "__main__":
    main()
