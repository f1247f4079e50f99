"""A process that carries out runs, told what to do on standard input.

Each line in is JSON: ``{"experiment": "...", "config": {...}, "folder": "..."}`` to carry out a
run, or
``{"stop": true}`` to save and stop it. Each line out is an event. When standard input closes, the
study that asked is gone, and the process ends at once: what is on disk can be resumed.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from ecotone.core import EcotoneError
from ecotone.core.allocator import keep_freed_memory

__all__ = ["main"]


def main() -> None:
    """Carry out runs until told to end."""
    keep_freed_memory()
    # Libraries may print; the stream of events must hold events only.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    orders: queue.SimpleQueue[dict] = queue.SimpleQueue()
    stopping = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if order.get("stop"):
                stopping.set()
            else:
                orders.put(order)
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()

    from ecotone.studies.design import FORMS
    from ecotone.studies.events import Event
    from ecotone.studies.experiments import EXPERIMENTS
    from ecotone.studies.store import RunFolder

    while True:
        order = orders.get()
        folder = RunFolder(Path(order["folder"]))
        try:
            config = FORMS[order["experiment"]].model_validate(order["config"])
            execute = EXPERIMENTS[config.kind].execute
            for event in execute(config, folder, should_stop=stopping.is_set):
                print(json.dumps(asdict(event)), file=events)
        except EcotoneError as error:
            event = Event("crashed", folder.identity, 0, 0, str(error))
            print(json.dumps(asdict(event)), file=events)


if __name__ == "__main__":
    main()
