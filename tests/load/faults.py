"""What a server can do wrong with one request."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from dataclasses import dataclass

from tests.services.farm import tool
from tests.upstream.zoo import (
    Animal,
    Answer,
    Ask,
    always,
    begin_stream,
    error,
    event,
    legacy,
    page,
    redirect,
    result,
)

TOOLS = (tool("get_thing"), tool("create_thing"))
JSON = {"content-type": "application/json"}
FINE = {"content": [{"type": "text", "text": "in order"}]}
BOMB = gzip.compress(b" " * 50_000_000)
DEEP = 100_000
MANY = b"[]," * 1_000_000


async def head(ask: Ask, length: int | None = None, **more: str) -> None:
    """An answer's beginning; without a length its body comes in chunks."""
    lines = ["HTTP/1.1 200 OK", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    await ask.write("\r\n".join([*lines, "", ""]).encode())


async def for_ever() -> None:
    await asyncio.Event().wait()


def raw(body: bytes, status: int = 200, **headers: str) -> Answer:
    return Answer(status, body, JSON | headers)


def answered(ask: Ask, value: object) -> bytes:
    """A whole HTTP response."""
    body = json.dumps({"jsonrpc": "2.0", "id": ask.message.get("id"), "result": value}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


# --- the line


async def hangs_up(ask: Ask) -> None:
    await ask.hang_up()


async def resets_in_mid_body(ask: Ask) -> None:
    await head(ask, 1000)
    await ask.write(b'{"jsonrpc":"2.0",')
    await ask.hang_up()


async def never_answers(ask: Ask) -> None:
    await for_ever()


async def stalls_after_its_head(ask: Ask) -> None:
    await head(ask, 1000)
    await for_ever()


async def drips(ask: Ask) -> None:
    await head(ask, 10_000)
    while True:
        await ask.write(b" ")
        await asyncio.sleep(1)


async def closes_after_each(ask: Ask) -> None:
    """And does not say so."""
    await ask.write(answered(ask, FINE))
    ask.writer.close()


async def does_not_speak_http(ask: Ask) -> None:
    await ask.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await for_ever()


async def changes_the_protocol(ask: Ask) -> None:
    await ask.write(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello")
    await for_ever()


async def garbles_its_chunks(ask: Ask) -> None:
    await head(ask)
    await ask.write(b"zzz\r\n{}\r\n")
    await for_ever()


async def has_huge_headers(ask: Ask) -> None:
    """One without end."""
    await ask.write(b"HTTP/1.1 200 OK\r\nx-filler: ")
    while True:
        await ask.write(b"x" * 65536)


async def has_headers_without_end(ask: Ask) -> None:
    await ask.write(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await ask.write(b"x-%d: %b\r\n" % (number, b"x" * 4096))


async def hints_without_end(ask: Ask) -> None:
    while True:
        await ask.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n" * 100)


async def has_trailers_without_end(ask: Ask) -> None:
    await head(ask)
    await ask.write(b"2\r\n{}\r\n0\r\n")
    while True:
        await ask.write(b"x-more: " + b"x" * 4096 + b"\r\n")


# --- the body


async def never_ends(ask: Ask) -> None:
    await head(ask)
    while True:
        await ask.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


async def announces_a_terabyte(ask: Ask) -> None:
    await head(ask, 10**12)
    await for_ever()


async def is_a_gzip_bomb(ask: Ask) -> Answer:
    return raw(BOMB, **{"content-encoding": "gzip"})


async def nests_deeply(ask: Ask) -> Answer:
    return raw(b'{"jsonrpc":"2.0","id":%d,"result":' % ask.message["id"] + b"[" * DEEP + b"]" * DEEP + b"}")


async def has_a_million_values(ask: Ask) -> Answer:
    return raw(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[' % ask.message["id"] + MANY + b"[]]}}")


async def breaks_off_its_json(ask: Ask) -> Answer:
    return raw(b'{"jsonrpc":"2.0","id":1,"result":{"content":[')


async def has_the_wrong_character_set(ask: Ask) -> Answer:
    return raw(b'{"jsonrpc":"2.0","id":%d,"result":{"content":"\xff\xfe"}}' % ask.message["id"])


async def has_nothing_to_say(ask: Ask) -> Answer:
    return raw(b"")


async def takes_it_and_says_nothing(ask: Ask) -> Answer:
    return Answer(202)


async def answers_with_a_table(ask: Ask) -> Answer:
    return Answer(200, b"a;b\r\n1;2\r\n", {"content-type": "text/csv"})


# --- JSON-RPC


async def refuses_the_call(ask: Ask) -> Answer:
    return error(ask, -32000, "The database is on fire", {"trace": "x" * 1000})


async def answers_something_else(ask: Ask) -> Answer:
    return raw(json.dumps({"jsonrpc": "2.0", "id": 987_654_321, "result": FINE}).encode())


_before: list[int] = [0]


async def answers_the_one_before(ask: Ask) -> Answer:
    asked, _before[0] = _before[0], ask.message["id"]
    return raw(json.dumps({"jsonrpc": "2.0", "id": asked, "result": FINE}).encode())


async def answers_twice(ask: Ask) -> Answer:
    one = {"jsonrpc": "2.0", "id": ask.message["id"], "result": FINE}
    return raw(json.dumps([one, one]).encode())


async def sends_two_answers(ask: Ask) -> None:
    await ask.write(answered(ask, FINE) + answered(ask, {"content": [{"type": "text", "text": "stray"}]}))


async def has_a_list_for_a_result(ask: Ask) -> Answer:
    return result(ask, [1, 2, 3])


async def asks_without_end(ask: Ask) -> Answer:
    """Its result is a question each time."""
    wanted = {"mode": "form", "message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}
    question = {"who": {"method": "elicitation/create", "params": wanted}}
    return result(ask, {"resultType": "input_required", "requestState": "x", "inputRequests": question})


# --- the stream


async def floods_with_progress(ask: Ask) -> None:
    await begin_stream(ask)
    token = ask.params.get("_meta", {}).get("progressToken", 0)
    params = {"progressToken": token, "progress": 1, "message": "x" * 200}
    flood = event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}) * 100
    while True:
        await ask.write(flood)


async def floods_with_questions(ask: Ask) -> None:
    await begin_stream(ask)
    for number in itertools.count():
        await ask.write(event({"jsonrpc": "2.0", "id": f"q{number}", "method": "ping"}) * 20)


async def keeps_its_stream_open(ask: Ask) -> None:
    await begin_stream(ask)
    while True:
        await ask.write(b": still here\n\n")
        await asyncio.sleep(0.2)


async def ends_its_stream_early(ask: Ask) -> None:
    await begin_stream(ask)
    await ask.write(
        event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "so long"}})
    )
    ask.writer.close()


async def has_an_event_without_end(ask: Ask) -> None:
    await begin_stream(ask)
    await ask.write(b"data: ")
    while True:
        await ask.write(b"x" * 65536)


async def shifts_its_list(ask: Ask) -> Answer | None:
    """Has other tools each time it is asked, and says so in each answer."""
    if ask.body and ask.rpc == "tools/list":
        return result(ask, {"tools": [*TOOLS, tool(f"get_thing_{id(ask)}")]})
    if not ask.body or ask.rpc != "tools/call":
        return await legacy()(ask)
    await begin_stream(ask)
    await ask.write(event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
    await ask.write(event({"jsonrpc": "2.0", "id": ask.message["id"], "result": FINE}))
    ask.writer.close()
    return None


@dataclass(frozen=True)
class Fault:
    """`kinds` are what an agent may be told (docs/agents.md), besides that the server is left alone: "ok" is its
    answer, "rpc" its own error. `wholly`: it fails with greetings and lists too, not only with calls."""

    animal: Animal
    kinds: tuple[str, ...]
    wholly: bool = False


FAULTS: dict[str, Fault] = {
    "hangs-up": Fault(hangs_up, ("unreachable",), wholly=True),
    "resets-in-mid-body": Fault(resets_in_mid_body, ("unreachable",)),
    "never-answers": Fault(never_answers, ("timeout",), wholly=True),
    "stalls-after-its-head": Fault(stalls_after_its_head, ("timeout",)),
    "drips": Fault(drips, ("timeout",)),
    "closes-after-each": Fault(closes_after_each, ("ok", "unreachable")),
    "no-http": Fault(does_not_speak_http, ("upstream_error",), wholly=True),
    "changes-the-protocol": Fault(changes_the_protocol, ("upstream_error",)),
    "garbles-its-chunks": Fault(garbles_its_chunks, ("upstream_error",)),
    "huge-header": Fault(has_huge_headers, ("too_large",)),
    "headers-without-end": Fault(has_headers_without_end, ("too_large",)),
    "hints-without-end": Fault(hints_without_end, ("too_large",)),
    "trailers-without-end": Fault(has_trailers_without_end, ("too_large",)),
    "never-ends": Fault(never_ends, ("too_large",)),
    "announces-a-terabyte": Fault(announces_a_terabyte, ("too_large",)),
    "gzip-bomb": Fault(is_a_gzip_bomb, ("upstream_error",)),
    "nests-deeply": Fault(nests_deeply, ("upstream_error",)),
    "million-values": Fault(has_a_million_values, ("too_large",)),
    "half-json": Fault(breaks_off_its_json, ("upstream_error",)),
    "wrong-character-set": Fault(has_the_wrong_character_set, ("upstream_error",)),
    "empty": Fault(has_nothing_to_say, ("upstream_error",)),
    "accepted": Fault(takes_it_and_says_nothing, ("upstream_error",)),
    "table": Fault(answers_with_a_table, ("upstream_error",)),
    "web-page": Fault(always(page()), ("upstream_error",), wholly=True),
    "status-500": Fault(
        always(raw(b'{"error":"Internal Server Error"}', 500)), ("upstream_error",), wholly=True
    ),
    "status-503": Fault(always(page(503)), ("upstream_error",)),
    "status-429": Fault(always(raw(b"{}", 429, **{"retry-after": "7"})), ("server_busy",)),
    "redirect": Fault(redirect("http://169.254.169.254/latest/meta-data/", 307), ("upstream_error",)),
    "status-401": Fault(always(raw(b"{}", 401, **{"www-authenticate": "Bearer"})), ("auth",), wholly=True),
    "status-403": Fault(always(raw(b"{}", 403)), ("auth",)),
    "status-404": Fault(always(page(404)), ("upstream_error",), wholly=True),
    "rpc-error": Fault(refuses_the_call, ("rpc",)),
    "answers-something-else": Fault(answers_something_else, ("upstream_error",)),
    # Two workers may have the same number under way.
    "answers-the-one-before": Fault(answers_the_one_before, ("upstream_error", "ok")),
    "answers-twice": Fault(answers_twice, ("ok",)),
    "two-answers": Fault(sends_two_answers, ("ok",)),
    "list-for-a-result": Fault(has_a_list_for_a_result, ("upstream_error",)),
    "asks-without-end": Fault(asks_without_end, ("needs_input",)),
    "progress-flood": Fault(floods_with_progress, ("too_large", "timeout")),
    "question-flood": Fault(floods_with_questions, ("too_large", "timeout")),
    "stream-without-end": Fault(keeps_its_stream_open, ("timeout",)),
    "stream-ends-early": Fault(ends_its_stream_early, ("unreachable",)),
    "event-without-end": Fault(has_an_event_without_end, ("too_large",)),
    "shifts-its-list": Fault(shifts_its_list, ("ok",), wholly=True),
}
# Those that take more than a path of their own.
PLACES: dict[str, tuple[str, ...]] = {
    "refuses": ("unreachable",),
    "certificate-expires": ("unreachable",),
    "name-gone": ("unreachable",),
}
KINDS = PLACES | {name: fault.kinds for name, fault in FAULTS.items()}
