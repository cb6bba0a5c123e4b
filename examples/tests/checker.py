#!/usr/bin/env python3
"""Holds what the workers of a contention run say against what is in the stream.

It shares no code with Tenure: it speaks NATS over a plain socket, reads the stream message by
message, and decodes commits (RFC 8949) by the table in DESIGN.md and the golden files. It needs
Python's standard library only.

    checker.py --port PORT --namespace NS --kind KIND --entity ID
               [--all-acknowledged] [--killed=HISTORY]... HISTORY...
    checker.py --self-test

A history has one JSON object per line: {"op", "event": "invoked"} before an operation is sent, and
{"op", "event": "ok" | "unknown" | "refused", ...} with what came of it. An operation without an end
is unknown where its worker was killed, and wrong elsewhere.
"""

import argparse
import base64
import json
import pathlib
import re
import socket
import sys

PATIENCE_S = 30


class Nats:
    """A client that can ask one question at a time."""

    INBOX = "_INBOX.checker"

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.file = self.socket.makefile("rb")
        if not self.line().startswith(b"INFO "):
            raise SystemExit("what listens there is no nats-server")
        hello = {"verbose": False, "headers": True, "no_responders": True, "name": "checker"}
        self.send(f"CONNECT {json.dumps(hello)}\r\nSUB {self.INBOX} 1\r\nPING\r\n".encode())
        while (line := self.line()) != b"PONG":
            if line.startswith(b"-ERR"):
                raise SystemExit(f"the nats-server refuses: {line.decode()}")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise SystemExit("the nats-server closed the connection")
        return line[:-2]

    def ask(self, subject, question):
        body = json.dumps(question).encode()
        self.send(f"PUB {subject} {self.INBOX} {len(body)}\r\n".encode() + body + b"\r\n")
        while True:
            line = self.line()
            if line == b"PING":
                self.send(b"PONG\r\n")
            elif line.startswith(b"MSG "):
                return json.loads(self.payload(int(line.split()[-1])))
            elif line.startswith(b"HMSG "):
                head, total = map(int, line.split()[-2:])
                text = self.payload(total)
                raise SystemExit(f"{subject} was answered with {text[:head]!r}")
            elif line.startswith(b"-ERR"):
                raise SystemExit(f"the nats-server refuses: {line.decode()}")

    def payload(self, length):
        data = self.file.read(length + 2)
        if len(data) != length + 2:
            raise SystemExit("the nats-server closed the connection")
        return data[:-2]


def stored(nats, namespace, kind, entity):
    """Every message of the entity, oldest first: (sequence, subject, payload)."""
    token = "".join(
        chr(byte) if re.match(rb"[A-Za-z0-9_-]", bytes([byte])) else f"%{byte:02X}"
        for byte in entity.encode()
    )
    stream, subject = f"{namespace}_ev_0", f"{namespace}.ev.*.{kind}.{token}"
    messages, sequence = [], 0
    while True:
        question = {"next_by_subj": subject, "seq": sequence + 1}
        answer = nats.ask(f"$JS.API.STREAM.MSG.GET.{stream}", question)
        if "error" in answer:
            if answer["error"].get("err_code") == 10037:  # no message found
                return messages
            raise SystemExit(f"stream {stream} cannot be read: {answer['error']}")
        message = answer["message"]
        sequence = message["seq"]
        payload = base64.b64decode(message.get("data", ""))
        messages.append((sequence, message["subject"], payload))


def cbor(data, at=0):
    """One value of definite length, and where the next begins."""
    first = data[at]
    major, short, at = first >> 5, first & 31, at + 1
    if major == 7:
        if short in (20, 21):
            return short == 21, at
        raise ValueError(f"simple value {short}")
    if short < 24:
        number = short
    elif short < 28:
        size = 1 << (short - 24)
        number, at = int.from_bytes(data[at : at + size], "big"), at + size
    else:
        raise ValueError("a length that is not definite")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        value = data[at : at + number]
        if len(value) != number:
            raise ValueError("the text ends early")
        return (value.decode() if major == 3 else value), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = cbor(data, at)
            items.append(item)
        return items, at
    if major == 5:
        fields = {}
        for _ in range(number):
            key, at = cbor(data, at)
            if key in fields:
                raise ValueError(f"key {key} twice")
            fields[key], at = cbor(data, at)
        return fields, at
    raise ValueError(f"major type {major}")


def whole(data):
    value, end = cbor(data)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes behind the value")
    return value


class Commit:
    """A commit, by the table of formats in DESIGN.md."""

    def __init__(self, sequence, payload):
        fields = whole(payload)
        if fields[0] != 1:
            raise ValueError(f"format version {fields[0]}")
        self.sequence = sequence
        self.id = fields[1].hex()
        self.entity = fields[4]
        self.before = fields[7]
        self.last = fields[8]
        self.earlier = []
        for number in fields.get(9, []):
            self.earlier.append(self.earlier[-1] - number if self.earlier else number)
        self.commands = [(id.hex(), version) for id, version, _ in fields.get(12, [])]
        self.events = [
            (version, name, whole(data)) for version, name, _, data in fields.get(13, [])
        ]


def histories(paths, killed):
    """What each operation's worker says, by the operation's name."""
    said, wrong = {}, []
    for path in paths:
        begun = "unknown" if path in killed else "open"
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                entry = json.loads(line)
                op, event = entry["op"], entry["event"]
                if event == "invoked":
                    if op in said:
                        wrong.append(f"{path}:{number}: {op} is invoked twice")
                    said[op] = {"event": begun}
                elif op not in said or said[op]["event"] in ("ok", "refused"):
                    wrong.append(f"{path}:{number}: {op} ends without a beginning")
                else:
                    said[op] = entry
    return said, wrong


def check_log(commits, entity):
    """What is wrong with the log by itself."""
    wrong, last, count, sequences, ids, commands = [], 0, 0, [], set(), set()
    for commit in commits:
        here = f"the commit at {commit.sequence}"
        if commit.entity != entity:
            wrong.append(f"{here} is of {commit.entity!r}")
        if commit.before != last:
            wrong.append(f"{here} follows version {commit.before}, the one before it ends at {last}")
        if commit.id in ids:
            wrong.append(f"{here} is a second copy of commit {commit.id}")
        listed = sequences[::-1][: len(commit.earlier)]
        if commit.earlier != listed or bool(commit.earlier) != bool(sequences):
            wrong.append(f"{here} lists {commit.earlier}, before it are {listed}")
        version = commit.before
        for at, name, fields in commit.events:
            if at != version + 1:
                wrong.append(f"{here} has version {at} after {version}")
            count += 1
            # Each event says what its decision had seen: the number of events before it.
            if (name, fields.get("count")) != ("counted", count):
                wrong.append(f"{here} has {name} {fields}, expected count {count}")
            version = at
        if commit.last != version:
            wrong.append(f"{here} says that it ends at {commit.last}, not {version}")
        for id, _ in commit.commands:
            if id in commands:
                wrong.append(f"{here} has command {id} a second time")
            commands.add(id)
        last = commit.last
        ids.add(commit.id)
        sequences.append(commit.sequence)
    return wrong


def check_said(commits, said, all_acknowledged):
    """What is wrong between the log and what the workers say."""
    wrong, found = [], {}
    for commit in commits:
        by_version = {version: id for id, version in commit.commands}
        for version, _, fields in commit.events:
            at = {"version": version, "sequence": commit.sequence, "command": by_version.get(version)}
            found.setdefault(fields["op"], []).append(at)
    for op, places in found.items():
        if op not in said:
            wrong.append(f"{op} is in the log and was never invoked")
        if len(places) > 1:
            wrong.append(f"{op} is in the log {len(places)} times: {places}")
    for op, entry in said.items():
        places = found.get(op, [])
        if entry["event"] == "ok":
            if not places:
                wrong.append(f"{op} was acknowledged and is lost: {entry}")
                continue
            for key, value in places[0].items():
                if entry.get(key) not in (None, value) or (key == "version" and key not in entry):
                    wrong.append(f"{op} was acknowledged as {entry}, it is stored as {places[0]}")
        elif entry["event"] == "refused" and places:
            wrong.append(f"{op} was refused and is stored: {entry} {places}")
        elif entry["event"] == "open":
            wrong.append(f"{op} has no end in its history")
        if all_acknowledged and entry["event"] != "ok":
            wrong.append(f"{op} was not acknowledged: {entry}")
    return wrong


def verdict(wrong, summary):
    for line in wrong[:50]:
        print(f"WRONG: {line}")
    if len(wrong) > 50:
        print(f"WRONG: and {len(wrong) - 50} more")
    print(summary)
    return 1 if wrong else 0


def main(arguments):
    commits = []
    nats = Nats(arguments.port)
    said, wrong = histories(arguments.history, arguments.killed)
    messages = stored(nats, arguments.namespace, arguments.kind, arguments.entity)
    subjects = {subject for _, subject, _ in messages}
    if len(subjects) != 1:
        wrong.append(f"the entity has the subjects {sorted(subjects)}, expected one")
    for sequence, _, payload in messages:
        try:
            commits.append(Commit(sequence, payload))
        except (ValueError, KeyError, IndexError) as error:
            wrong.append(f"the message at {sequence} is no commit: {error!r}")
    wrong += check_log(commits, arguments.entity)
    wrong += check_said(commits, said, arguments.all_acknowledged)
    ends = [entry["event"] for entry in said.values()]
    events = {fields["op"] for commit in commits for _, _, fields in commit.events}
    late = sum(1 for op, entry in said.items() if entry["event"] == "unknown" and op in events)
    return verdict(
        wrong,
        f"checked {len(said)} operations: {ends.count('ok')} acknowledged, "
        f"{ends.count('unknown')} unknown ({late} of them stored), "
        f"{ends.count('refused')} refused; {len(events)} events in {len(commits)} commits; "
        f"{len(wrong)} wrong",
    )


def golden_bytes(name):
    """A golden file of the formats: hexadecimal digits, with comments behind '#'."""
    path = pathlib.Path(__file__).parents[2] / "core/tests/golden" / name
    lines = path.read_text(encoding="utf-8").splitlines()
    return bytes.fromhex("".join(line.split("#")[0] for line in lines))


def self_test():
    """The checker's own test: each kind of damage is found, and nothing else is."""

    class Made:
        def __init__(self, sequence, before, ops, earlier, **other):
            self.sequence, self.before, self.earlier = sequence, before, earlier
            self.id, self.entity = other.get("id", f"c{sequence}"), "e"
            self.last = before + len(ops)
            self.commands = [(f"i{op}", before + n) for n, op in enumerate(ops, 1)]
            self.events = [
                (before + n, "counted", {"op": op, "count": before + n})
                for n, op in enumerate(ops, 1)
            ]

    def ok(version, sequence):
        return {"event": "ok", "version": version, "sequence": sequence}

    def log():
        return [Made(5, 0, ["a", "b"], []), Made(9, 2, ["c"], [5])]

    def said(**changed):
        base = {"a": ok(1, 5), "b": {"event": "unknown"}, "c": ok(3, 9), "d": {"event": "unknown"}}
        return {**base, **changed}

    def wrong(commits, said, strict=False):
        return check_log(commits, "e") + check_said(commits, said, strict)

    assert not wrong(log(), said(e={"event": "refused"}))
    assert wrong(log(), said(d=ok(4, 9))), "a lost one"
    assert wrong(log(), said(c=ok(2, 9))), "another version"
    assert wrong(log(), said(c=ok(3, 8))), "another sequence"
    assert wrong(log(), said(c={"event": "refused"})), "a refused one that is stored"
    assert wrong(log(), said(c={"event": "open"})), "one without an end"
    assert wrong(log(), said(), True), "an unknown one where all must be acknowledged"
    assert wrong(log(), {"a": ok(1, 5), "c": ok(3, 9)}), "one that nobody sent"
    doubled = log() + [Made(11, 3, ["b"], [9, 5])]
    assert any("2 times" in line for line in wrong(doubled, said())), "a doubled one"
    assert wrong(log() + [Made(11, 3, [], [9, 5], id="c9")], said()), "a commit stored twice"
    assert wrong([log()[0], Made(9, 1, ["c"], [5])], said()), "a fork"
    assert wrong([log()[0], Made(9, 2, ["c"], [])], said()), "a commit that lists nothing"
    assert wrong([log()[0], Made(9, 2, ["c"], [4])], said()), "a commit that lists another"
    lost_update = log()
    lost_update[1].events[0][2]["count"] = 2
    assert wrong(lost_update, said()), "a decision on a stale state"
    golden = Commit(7, golden_bytes("commit.hex"))
    assert (golden.entity, golden.before, golden.last) == ("alice@example.org", 40, 43)
    assert golden.earlier == [70000, 69999, 950]
    assert [version for _, version in golden.commands] == [41, 43]
    assert golden.events == [(41, "deposited", {"amount": 50}), (43, "closed", {})]
    print("the checker finds what it must")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--namespace")
    parser.add_argument("--kind")
    parser.add_argument("--entity")
    parser.add_argument("--all-acknowledged", action="store_true")
    parser.add_argument("--killed", action="append", default=[])
    parser.add_argument("history", nargs="*")
    given = parser.parse_args()
    sys.exit(self_test() if given.self_test else main(given))
