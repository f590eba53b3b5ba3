"""Words of IT support: what they come down to, which mean the same, and which say nothing."""

from __future__ import annotations

import re
from functools import lru_cache

SHORTEST_STEM = 3
ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ions", "ion", "ates", "ated", "ate",
           "ies", "ers", "ed", "es", "er", "s", "e", "y")  # fmt: skip
LONG_STEM = {
    "ment": 5,
    "ments": 5,
    "er": 4,
    "ers": 4,
    "ation": 4,
    "ations": 4,
    "ate": 4,
    "ated": 4,
    "ates": 4,
    "ion": 4,
    "ions": 4,
}
SPELLING = {
    "licence": "license",
    "licences": "license",
    "catalogue": "catalog",
    "colour": "color",
    "centre": "center",
}
BRITISH = re.compile(r"is(e[drs]?|ers?|ing|ations?)$")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Not a root of the language, only the same for create, creates, created, creating and creation."""
    word = SPELLING.get(word, BRITISH.sub(r"iz\1", word))
    if word.endswith("ss") or not word.isascii():
        return word
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LONG_STEM.get(ending, SHORTEST_STEM):
            cut = word[: -len(ending)]
            return cut[:-1] if ending in ("ing", "ed", "er", "ers") and _doubled(cut) else cut
    return word


def _doubled(word: str) -> bool:
    return len(word) > SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "lszaeiou"


SAME = """
computer device endpoint machine asset workstation laptop
ticket issue case incident request
client customer company organisation organization account tenant
user contact person people employee colleague member
technician agent engineer operator
delete remove erase drop destroy
mail email message
create add new make insert register enter append
write create draft compose
update change edit modify set
get show read view fetch retrieve see
find search look query
list all overview
send post write
close resolve solve complete finish done tick
onedrive drive
gmail mail
stop shutdown halt
start run boot execute launch
disable deactivate suspend block
enable activate
password credential secret
note comment remark
label tag
bill invoice
appointment event meeting
calendar schedule
file document
article document page
folder directory
group team
monitor observe watch
alert alarm warning problem
error failure failed
assign give delegate owner
hour time
log journal
server host
cpu processor
memory ram
disk storage drive volume
vm guest
container docker
database sql
site website url link
phishing malicious spam
permission access right role
login signin logon
mfa 2fa
patch update
install deploy
restart reboot rollout
answer reply respond
hacked compromised breach
offboard leaver
deal opportunity
spreadsheet sheet excel
automation workflow
kubernetes k8s kubectl
vip priority
load usage utilization metric performance statistic
domain zone
free busy available availability freebusy schedule
change history timeline audit
vulnerable vulnerability advisory
output log print
allow permission policy access
report submit create
bug issue defect
remember memory observation
kb article solution
maintenance downtime
worklog log time
logout session
vulnerable dependabot
"""

PHRASED = {
    "pull request": "pr", "virtual machine": "vm", "knowledge base": "kb", "sign in": "login", "log in": "login",
    "two factor": "mfa", "multi factor": "mfa", "sign out": "logout", "log out": "logout", "look up": "search",
    "to do": "todo", "free time": "freebusy", "power off": "stop", "turn off": "disable", "turn on": "enable",
    "switch off": "stop", "out of office": "outofoffice", "back up": "backup", "microsoft 365": "m365",
    "office 365": "m365", "power on": "start", "power up": "start", "switch on": "start",
}  # fmt: skip

# What is to be done matters, however many tools do it.
CHANGING = """
create add new make insert delete remove update change edit set send post write close resolve stop start disable enable
deactivate assign move copy reset restart merge share forward reply restore install run cancel upload archive approve
decline reject invite unlock lock suspend import
"""
READING = "search find list get read show download export"
# As the first word these ask for more than they name: comment on a page, open a ticket, mail a customer.
FIRST = {
    "create": "comment note tag label log book bill invoice remind report open schedule raise file",
    "send": "mail email message text",
}

SILENT = """
a an the this that these those of in on at for from to with by as into via per and or but so than then its it is are
was were be been being has have had do does did can could may might must should will would i me my we us our you your
he she they them their someone somebody something anything everything everybody anyone who what which when where why
how there here please want need like just yet
"""


# They come between the two words of a verb: turn it off.
BETWEEN = "it them him her this that these those everybody everything"


def _groups() -> dict[str, frozenset[str]]:
    same: dict[str, set[str]] = {}
    for line in SAME.strip().splitlines():
        stems = {stem(word) for word in line.split()}
        for word in stems:
            same.setdefault(word, set()).update(stems - {word})
    return {word: frozenset(others) for word, others in same.items()}


SYNONYMS = _groups()
PHRASES = {tuple(map(stem, words.split())): stem(meaning) for words, meaning in PHRASED.items()}
CHANGES = frozenset(map(stem, CHANGING.split()))
DEEDS = CHANGES | frozenset(map(stem, READING.split()))
FIRST_MEANS = {stem(word): stem(deed) for deed, nouns in FIRST.items() for word in nouns.split()}
OBJECTS = frozenset(map(stem, BETWEEN.split()))
IGNORED = frozenset(map(stem, SILENT.split())) | frozenset(SILENT.split())
