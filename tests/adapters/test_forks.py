"""A child that a function forks shares no signals with its worker, from its first moment on."""

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal
from webhookd.adapters.forks import shield_from_children
from webhookd.runtime.loop_policy import loop_factory

def fork_and_end(number):
    for _ in range(200):
        if (pid := os.fork()) == 0:
            signal.pause()
            os._exit(9)
        os.kill(pid, number)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, (number, status)

async def main():
    heard = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, heard.append, number)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    await asyncio.gather(*(asyncio.to_thread(fork_and_end, one) for one in (signal.SIGTERM, signal.SIGHUP)))
    fork_and_end(signal.SIGTERM)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    await asyncio.sleep(0.1)
    assert heard == [], f"the worker heard {len(heard)} signals that were its children's"
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)
    assert heard == [signal.SIGTERM], "its own it hears"

shield_from_children()
asyncio.Runner(loop_factory=loop_factory()).run(main())
"""


def test_signal_to_a_child_just_forked_is_the_childs_alone() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
