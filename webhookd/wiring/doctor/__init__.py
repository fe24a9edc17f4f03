"""`webhookd doctor`: finds what is wrong with this installation, and says how to mend it.

    installation  what the checks look at, opened once
    examination   the table of checks; each is run on its own, in a bounded time
    configured    settings, task sets, keys
    machine       files, disk, limits, processes of this machine
    services      database, broker, clocks
    work          queues, types, endpoints, dead letters

A check is a coroutine function from the installation to findings. What a figure means is `core.diagnosis`'s.
"""

from webhookd.wiring.doctor.examination import CHECKS, Diagnosis, Examined, diagnose

__all__ = ["CHECKS", "Diagnosis", "Examined", "diagnose"]
