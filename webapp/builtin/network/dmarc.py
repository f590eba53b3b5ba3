"""DMARC: what receivers are to do with mail that fails SPF and DKIM, and who hears of it."""

from __future__ import annotations

import dns.name
import dns.rdatatype

from webapp.builtin.network.names import below, parse_name, shown
from webapp.builtin.network.questions import NameServers, Reply
from webapp.builtin.network.verdict import State, Verdict, worst
from webapp.builtin.results import printable

MOST_PARENTS = 4
_POLICIES: dict[str, tuple[State, str]] = {
    "reject": ("ok", "Forged mail is refused (p=reject)."),
    "quarantine": ("ok", "Forged mail goes to the junk folder (p=quarantine)."),
    "none": ("warning", "Forged mail is only watched, not stopped (p=none)."),
}


async def check_dmarc(domain: str, servers: NameServers) -> Verdict:
    """The domain's own record, else the nearest parent's, as receivers look for it."""
    name = parse_name(domain, "domain")
    for place in _places(name):
        reply = await servers.ask(below("_dmarc", place), dns.rdatatype.TXT)
        if reply.status in ("timeout", "failed"):
            return Verdict("unknown", reply.in_words())
        if found := _records(reply):
            return _judged(found, place, is_own=place == name)
    return Verdict("problem", "There is no DMARC record: receivers decide alone what to do with forged mail.")


def tags(record: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _places(name: dns.name.Name) -> list[dns.name.Name]:
    parents = [name]
    while len(parents[-1].labels) > 3 and len(parents) <= MOST_PARENTS:
        parents.append(parents[-1].parent())
    return parents


def _records(reply: Reply) -> list[str]:
    return [text for text in reply.texts if text.replace(" ", "").lower().startswith("v=dmarc1")]


def _judged(found: list[str], place: dns.name.Name, *, is_own: bool) -> Verdict:
    facts = {"record": printable(found[0], 2_000), "found_at": f"_dmarc.{shown(place)}"}
    if len(found) > 1:
        return Verdict(
            "problem", "There is more than one DMARC record; receivers ignore them all.", facts=facts
        )
    known = tags(found[0])
    policy = (known.get("p", "") if is_own else known.get("sp") or known.get("p", "")).lower()
    if policy not in _POLICIES:
        text = f"“{printable(policy, 40)}” is no policy" if policy else "The record names no policy (p=)"
        return Verdict("problem", f"{text}, so receivers may ignore it.", facts=facts)
    state, summary = _POLICIES[policy]
    weak = _weaknesses(known)
    notes = list(weak)
    if not is_own:
        notes.append(f"The policy comes from {shown(place)}.")
    if "rua" not in known:
        notes.append("No address for reports (rua): nobody learns who sends in the name of the domain.")
    return Verdict(
        worst([state, "warning"] if weak else [state]), summary, tuple(notes), facts | {"policy": policy}
    )


def _weaknesses(known: dict[str, str]) -> list[str]:
    weak = []
    share = known.get("pct", "100")
    if not share.isdecimal() or int(share[:4]) > 100:
        weak.append("The share (pct) is not a number from 0 to 100.")
    elif int(share) < 100:
        weak.append(f"The policy is for {share} % of the mail only (pct).")
    if known.get("t", "").lower() == "y":
        weak.append("It is marked as a test (t=y).")
    if known.get("sp", "").lower() == "none" and known.get("p", "").lower() != "none":
        weak.append("Subdomains are not protected (sp=none).")
    return weak
