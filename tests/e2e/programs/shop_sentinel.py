"""Ordinary programs behind a Sentinel: workers count orders until standard input ends, and tell what became of each."""

import asyncio
import json
import sys
import threading
import time

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

WORKERS = 4
KIND, HOST, PORT, SERVICE = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()

orders = []
"""Of each: its name, its amount, when it began (s), how long it took (s), and what it ended with."""


def note(name, amount, start_s, ending):
    orders.append((name, amount, start_s, time.time() - start_s, ending))


def work(client, worker):
    number = 0
    while not over.is_set():
        number += 1
        name, amount, start_s = f"{KIND}-{worker}-{number}", worker * 1_000_000 + number, time.time()
        try:
            note(name, amount, start_s, client.hincrby("orders", name, amount))
        except redis.RedisError as error:
            note(name, amount, start_s, type(error).__name__)
        time.sleep(0.02)


async def work_async(client, worker):
    number = 0
    while not over.is_set():
        number += 1
        name, amount, start_s = f"{KIND}-{worker}-{number}", worker * 1_000_000 + number, time.time()
        try:
            note(name, amount, start_s, await client.hincrby("orders", name, amount))
        except redis.RedisError as error:
            note(name, amount, start_s, type(error).__name__)
        await asyncio.sleep(0.02)


def main():
    client = redis.sentinel.Sentinel([(HOST, PORT)]).master_for(SERVICE)
    workers = [threading.Thread(target=work, args=(client, number)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


async def main_async():
    client = redis.asyncio.sentinel.Sentinel([(HOST, PORT)]).master_for(SERVICE)
    await asyncio.gather(*(work_async(client, number) for number in range(WORKERS)))
    await client.aclose()


main() if KIND == "sync" else asyncio.run(main_async())
print(json.dumps(orders))
