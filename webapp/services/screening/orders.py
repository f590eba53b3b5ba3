"""Words that are meant for the model: orders in a description, which tells a person what a tool does and no more.

Each rule wants a verb and its object near each other, so that a tool that only speaks of prompts, keys or users is
left alone. Texts are read without their accents, look-alike letters and line breaks: see `plain` in lookalikes.
"""

# ruff: noqa: E501 - a rule is read as one
from __future__ import annotations

import re

_WHOM = r"(?:the |a |any |your )?(?:users?|humans?|operators?|persons?|people|anyone|anybody|admin(?:istrator)?s?|customers?|technicians?)"
_SECRET = (
    r"(?:~/|/etc/(?:passwd|shadow)|id_(?:rsa|ed25519|ecdsa)|\.ssh\b|\.env\b|\.aws\b|\.npmrc|\.netrc|\.kube\b|mcp\.json|"
    r"(?:claude_desktop_)?config\.json|secrets? (?:file|key)|private keys?|ssh keys?|api[ _-]?keys?|access tokens?|"
    r"passwords?|credentials|environment variables|browser cookies|session cookies|wallet|seed phrase)"
)
_HISTORY = (
    r"(?:system prompt|system message|(?:whole|full|entire|complete|previous|prior|earlier|past)"
    r"(?: \w+)? (?:history|conversation|messages?|transcript|context|thread)|(?:your|all) (?:previous|prior|hidden) instructions|"
    r"(?:chat|conversation) (?:history|transcript)|conversation so far|messages so far)"
)
_TAGS = r"important|system|instructions?|critical|secret|hidden|admin|assistant|sys|inst|override|urgent|confidential|internal"

ORDERS: dict[str, tuple[str, ...]] = {
    "order": (
        rf"<\s*/?\s*(?:{_TAGS})\b[^<>]{{0,40}}>",
        r"<\|\s*(?:im_start|im_end|system|user|assistant|endoftext)[^|>]{0,20}\|>|\[/?inst\]|<</?sys>>|^#+ *(?:system|instructions? (?:to|for) (?:the )?(?:ai|assistant|model|agent|llm))\b",
        r"\b(?:system|developer|admin(?:istrator)?) (?:override|note|notice|message|instruction|directive|update) *[:\-]",
        r"\b(?:ignore|disregard|forget|override|bypass|discard|set aside|do not follow|stop following)\b[^.!?]{0,40}"
        r"\b(?:previous|prior|above|earlier|preceding|other|existing|all|any|your|system|safety|user'?s?)\b[^.!?]{0,30}"
        r"\b(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|policies|restrictions?|guardrails?|constraints?|polic(?:y|ies))\b",
        r"\b(?:ignoriere|vergiss|missachte)\b[^.!?]{0,40}\b(?:anweisung|vorgabe|regel|instruktion)",
        r"\b(?:ignorez?|oubliez?)\b[^.!?]{0,40}\b(?:instructions?|consignes?|regles?)\b",
        r"\b(?:ignora|olvida|omite)\b[^.!?]{0,40}\b(?:instrucciones|reglas|istruzioni|regole)\b",
        r"\b(?:you are now|from now on,? you|act as if you|pretend (?:to be|that you)|you must now)\b",
        r"\bnote (?:to|for) (?:the )?(?:ai|assistant|model|agent|llm|language model)\b",
        r"\b(?:new|updated|real|actual|hidden|secret) instructions? *(?:[:\-]|are\b|follow)",
    ),
    "secrecy": (
        rf"\b(?:do not|don't|dont|never|must not|should not|without|avoid|refrain from|no need to)\b[^.!?]{{0,25}}\b(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|"
        rf"reveal(?:ing)?|notify(?:ing)?|disclos(?:e|ing)|alert(?:ing)?|warn(?:ing)?|bother(?:ing)?|let)\b"
        rf"(?! {_WHOM} a\b)[^.!?]{{0,45}}\b(?:{_WHOM}|this|it|that|about|them)\b(?<!\bif that)",
        rf"\b(?:keep|hide|conceal)\b[^.!?]{{0,40}}\b(?:secret|hidden|confidential|from {_WHOM}|to yourself|between us|quiet)\b",
        rf"\b{_WHOM} (?:must|should|may|can|need|do|does) ?(?:not|n't|never) (?:know|see|notice|learn|be (?:told|informed|aware|shown)|find out)\b",
        rf"\b(?:without|before) (?:the )?{_WHOM}(?:'s)? (?:knowing|knowledge|noticing|seeing|consent)\b",
        r"\b(?:sag|sage|teile|erwahne)\b[^.!?]{0,40}\bnicht\b|\bnicht\b[^.!?]{0,30}\b(?:erwahnen|mitteilen|verraten)\b|\bne\b[^.!?]{0,20}\b(?:dites|mentionnez|parlez)\b[^.!?]{0,20}\b(?:pas|jamais)\b|\bno (?:le )?(?:digas|menciones|informes)\b",
        r"\b(?:silently|secretly|covertly|discreetly|quietly|in the background)\b[^.!?]{0,25}\b(?:send|sends|forward|copy|upload|post|include|attach|read|append|call|record|transmit)\b",
    ),
    "theft": (
        rf"\b(?:read|open|cat|load|access|fetch|get|retrieve|include|attach|send|pass|provide|copy|paste|collect|extract|dump|output|append|supply|insert|put)\b"
        rf"(?! access)[^.!?]{{0,40}}?\b(?:contents? of|text of|value of|values of|your|all|the user's|any|every)\b[^.!?]{{0,40}}?{_SECRET}",
        r"\b(?:read|open|cat|include|attach|append|paste|upload|exfiltrate)\b[^.!?]{0,20}?(?:~/\.|/etc/(?:passwd|shadow)|id_(?:rsa|ed25519)|\.ssh/|\.aws/|\.env\b|mcp\.json)",
        rf"\b(?:include|pass|send|provide|reveal|output|repeat|print|copy|paste|append|attach|supply|summari[sz]e|put|insert|forward|quote)\b[^.!?]{{0,45}}?\b{_HISTORY}",
        r"\b(?:also|always|secretly|additionally|then|must|first|silently)\b[^.!?]{0,40}\b(?:send|forward|post|upload|bcc|cc|copy|transmit|e-?mail|exfiltrate|report)\b[^.!?]{0,60}(?:https?://|[\w.+-]+@[\w-]+\.[\w.]+|webhook)",
        r"\b(?:change|replace|set|redirect|rewrite|substitute)\b[^.!?]{0,40}\b(?:recipient|payee|account number|iban|address|destination)\b[^.!?]{0,30}\b(?:to|with|by)\b[^.!?]{0,30}(?:@|https?://|\d{6,}|[a-z]{2}\d{2} ?\d)",
        r"\b(?:curl|wget)\b[^\n]{0,80}\|\s*(?:ba|z)?sh\b|\b(?:download|fetch)\b[^.!?]{0,60}\band (?:then )?(?:execute|run|follow|obey)\b",
        r"\b(?:follow|obey|execute|carry out|comply with)\b[^.!?]{0,30}\binstructions?\b[^.!?]{0,30}\b(?:in|from|at|of|returned|contained|found|inside|within)\b",
    ),
    "takeover": (
        r"\b(?:before|after|prior to|when(?:ever)?|each time|every time|any time)\b[^.!?]{0,25}\b(?:using|calling|invoking|running|you (?:use|call|invoke|run))\b[^.!?]{0,20}\b(?:any|every|all|another|each)\b[^.!?]{0,15}\btools?\b[^.!?]{0,80}\b(?:must|always|call|run|invoke|use|required?|first)\b",
        r"\b(?:must|always|have to|required to)\b[^.!?]{0,40}\b(?:before|instead of|in place of|rather than)\b[^.!?]{0,25}\b(?:any|every|all|each)\b[^.!?]{0,12}\b(?:other )?tools?\b",
        r"\b(?:do not|don't|never|stop)\b[^.!?]{0,12}\b(?:use|using|call|calling|trust|invoke)\b[^.!?]{0,20}\b(?:any other|other|all other|the other|another)\b[^.!?]{0,30}\b(?:tools?|servers?|functions?)\b",
        r"\b(?:other|all other|every other|any other|similar|competing)\b[^.!?]{0,25}\b(?:tools?|servers?|functions?)\b[^.!?]{0,25}\b(?:deprecated|insecure|broken|unsafe|compromised|disabled|unreliable|malicious|must not be used|should not be used)\b",
        r"\b(?:takes?|has|have) (?:precedence|priority) over (?:all|any|every|other)\b",
        r"\b(?:no|without|skip|bypass|omit|avoid)\b[^.!?]{0,25}\b(?:user |human |manual )?(?:confirmation|approval|consent|permission checks?|authorization)\b[^.!?]{0,30}\b(?:needed|required|necessary|is needed|prompts?|steps?|dialogs?|from the user|by the user)\b(?! for)[^.!?]{0,20}\b(?:call|run|proceed|execute|just)",
        r"\b(?:already|pre-?)[- ]?(?:approved|authori[sz]ed|consented|confirmed)\b[^.!?]{0,30}\b(?:by (?:the )?(?:user|admin\w*|operator|owner)|so|do not ask|everything|all)\b|\bauto-?approved?\b[^.!?]{0,30}\b(?:this|all|every)\b",
    ),
}  # fmt: skip
RULES = {
    kind: re.compile("|".join(f"(?:{one})" for one in rules), re.I | re.M) for kind, rules in ORDERS.items()
}
# One of these stands in whatever a rule finds, in lower case: most texts are passed over by one look.
SIGNS = {
    "order": (
        "<", "inst]", "instr", "prompt", "rule", "guideline", "direct", "polic", "restrict", "guardrail", "constraint",
        "anweis", "vorgab", "regel", "consigne", "regles", "reglas", "istruz", "regole", "you are now", "from now on",
        "act as if", "pretend", "must now", "note to", "note for", "override", "notice", "message", "update",
    ),
    "secrecy": (
        "tell", "inform", "mention", "reveal", "notif", "disclos", "alert", "warn", "bother", "let", "keep", "hide",
        "conceal", "know", "see", "notic", "learn", "aware", "shown", "find out", "consent", "nicht", "dites",
        "parlez", "digas", "menciones", "silent", "secret", "covert", "discreet", "quiet", "background",
    ),
    "theft": (
        "~/", "/etc/", "id_", ".ssh", ".env", ".aws", ".npmrc", ".netrc", ".kube", "config.json", "mcp.json", "key",
        "token", "password", "credential", "environment var", "cookie", "wallet", "seed phrase", "prompt", "history",
        "conversation", "message", "transcript", "context", "thread", "instructions", "http://", "https://", "@",
        "webhook", "recipient", "payee", "iban", "account number", "address", "destination", "curl", "wget", "download",
        "fetch",
    ),
    "takeover": (
        "tool", "server", "function", "precedence", "priority", "confirm", "approv", "consent", "authori",
        "permission check",
    ),
}  # fmt: skip
