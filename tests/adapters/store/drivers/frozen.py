"""A process that stops itself inside a transaction, and once thawed tells what became of it."""

import asyncio
import os
import signal
import sys

from sqlalchemy import text

from webhookd.adapters.store.database import Database
from webhookd.adapters.store.tx import Policy, Tx
from webhookd.core.errors import Unavailable


def _write(tx: Tx) -> None:
    tx.conn.execute(text("UPDATE seen SET who = 'thawed'"))


def _freeze(tx: Tx) -> None:
    _write(tx)
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    _write(tx)


async def _main(url: str, lease_seconds: float) -> None:
    database = await Database.open(url, policy=Policy(lease_seconds=lease_seconds))
    try:
        await database.write(_freeze)
    except Unavailable as error:
        print(type(error).__name__, flush=True)
    sys.stdin.readline()
    await database.write(_write)
    print("written", flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2])))
