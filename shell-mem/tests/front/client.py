"""What a program of the Python client is told by a server: one line for each answer."""

import asyncio
import sys

import nats
from nats.js.api import KeyValueConfig


async def refused(call):
    try:
        await call
    except Exception as error:  # whatever the client makes of the refusal
        return type(error).__name__, getattr(error, "err_code", None)
    return None


async def core(nc):
    async def answer(message):
        await message.respond(b"ok " + message.data)

    await nc.subscribe("svc", cb=answer)
    yield (await nc.request("svc", b"1", timeout=5)).data
    yield await refused(nc.request("none", b"1", timeout=5))


async def streams(js):
    await js.add_stream(name="S", subjects=["s.>"])
    for n in range(20):
        ack = await js.publish(f"s.{n % 3}", str(n).encode(), headers={"N": str(n)})
        yield ack.stream, ack.seq
    wrong = {"Nats-Expected-Last-Sequence": "3"}
    yield await refused(js.publish("s.1", b"x", headers=wrong))
    pull = await js.pull_subscribe("s.1", "d")
    for message in await pull.fetch(5, timeout=5):
        at = message.metadata
        yield message.data, at.sequence.stream, at.num_pending, message.headers
        await message.ack_sync()
    ordered = await js.subscribe("s.>", ordered_consumer=True)
    for _ in range(20):
        message = await ordered.next_msg(timeout=5)
        yield message.subject, message.metadata.sequence.consumer
    push = await js.subscribe("s.2", durable="push")
    await (await push.next_msg(timeout=5)).nak()
    yield sorted([(await push.next_msg(timeout=5)).data for _ in range(6)])


async def buckets(js):
    bucket = await js.create_key_value(KeyValueConfig(bucket="b", history=5))
    yield await bucket.put("a", b"1")
    yield (await bucket.get("a")).value
    yield await refused(bucket.create("a", b"2"))
    yield await bucket.update("a", b"3", last=1)
    yield await bucket.delete("a")
    yield await refused(bucket.get("a"))
    await bucket.put("c", b"9")
    yield await bucket.keys()
    for entry in await bucket.history("a"):
        yield entry.key, entry.value, entry.revision, entry.operation
    objects = await js.create_object_store("o")
    await objects.put("f", b"y" * 300_000)
    yield len((await objects.get("f")).data)


async def main(url):
    nc = await nats.connect(url)
    js = nc.jetstream()
    for part in (core(nc), streams(js), buckets(js)):
        async for told in part:
            print(told)
    info = await js.stream_info("S")
    print(info.state.messages, info.state.last_seq, info.config.subjects)
    print(await js.purge_stream("S"), await js.delete_stream("S"))
    await nc.drain()


asyncio.run(main(sys.argv[1]))
