"""The verbs of tool names, sorted by what they do to the world."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They look and never touch, whatever follows them.
LOOK = words(
    """
    get fetch retrieve find describe inspect browse discover enumerate gather peek examine explore
    identify determine detect locate recall recollect await observe see ascertain consult
    investigate diagnose troubleshoot introspect geocode whoami ls cat grep ripgrep glob
    nslookup traceroute geolocate blame
    """
)

# They work something out and hand it back: nothing outside the call changes.
COMPUTE = words(
    """
    analyze analyse calculate compute compare summarize summarise predict recommend suggest assess explain
    interpret parse decode decrypt validate classify tokenize transcribe infer correlate interpolate
    extrapolate visualize visualise tabulate extract think encode translate brainstorm critique advise
    """
)

# They look, but are things too: "list users" and "a list", "search orders" and "a saved search".
LOOK_OR_THING = words(
    """
    poll wait ping echo probe stat scrape lookup whois dig
    sum list search view query count filter trace profile audit hash tree diff head tail lint read score rank
    estimate forecast average aggregate preview check research show display measure help
    """
)

# All groups from here to CHANGE change something. As bare verbs they are hardly ever things, so they count
# wherever in a name they stand. Bringing into being:
MAKE = words(
    """
    create add insert write upsert append prepend persist publish republish unpublish submit resubmit
    reregister enroll enrol onboard provision reprovision scaffold instantiate init initialize initialise
    bootstrap spawn relaunch replicate ingest inject annotate mkdir regenerate emit rebuild reindex
    reimport populate repopulate upload transcode animate assemble compile adopt enlist
    """
)

# Taking away, and undoing the taking away:
REMOVE = words(
    """
    delete remove destroy erase flush purge truncate wipe clear unset prune evict rm rmdir unlink
    unregister deregister unenroll offboard deprovision decommission uninstall undeploy unsubscribe
    unmount unbind detach disassociate dissociate deallocate revoke redact anonymize anonymise obfuscate
    forget retire expunge undelete untrash unarchive unretire revert undo redo reclaim dequarantine eject
    unadopt undelegate unembed unwrap scrub defragment defrag
    """
)

# Changing what is there, or how it is arranged:
ALTER = words(
    """
    modify alter rename replace overwrite put adjust configure reconfigure customize customise unmark
    toggle relocate migrate resize reorder rearrange resort rewrite refactor relabel retitle untag attach
    reattach bind reassign unassign unmerge rebase bump increment decrement downgrade promote demote
    repair heal remediate reconcile resync chmod chown mv recolor compress decompress unzip encrypt
    autofill unstage brighten unpin unstar unlike unfavorite unfavourite reformat amend revise rectify
    enrich augment enhance tweak calibrate reroute throttle restrict shrink rebalance reshard repartition
    rekey unmask harden squash colorize upscale downscale freeze unfreeze thaw sanitize organize organise
    prioritize prioritise
    """
)

# Switching, starting, stopping a machine, a service or a job:
SWITCH = words(
    """
    enable disable activate deactivate reactivate reinstall redeploy restart reboot shutdown kill
    terminate abort halt cancel suspend unsuspend unpause hibernate invoke rerun requeue enqueue dequeue
    reschedule unschedule failback cutover drain cordon uncordon isolate unisolate unquarantine reimage
    invalidate disconnect reconnect unpair unload mute unmute skip rewind seek shuffle poweroff poweron
    blink disarm silence unsilence suppress detonate unpark undock ack
    """
)

# Deciding and granting: someone gets, loses or owes something.
DECIDE = words(
    """
    approve reapprove reject deny decline accept confirm authorize authorise authenticate reauthenticate
    grant impersonate allocate reallocate unreserve nominate elevate escalate deescalate acknowledge nack
    snooze unsnooze dismiss defer postpone reopen uncomplete unresolve unlock unblock unban unhide
    allowlist denylist whitelist blacklist apply reapply repay prepay withdraw redeem fulfill fulfil
    restock unstake upvote downvote abandon remember memorize memorise finetune acquire manage finalize
    finalise settle certify waive reimburse disburse remit lend borrow liquidate airdrop notarize
    countersign moderate ratify endorse hire rehire
    """
)

# Speaking to others: it can't be taken back.
SPEAK = words(
    """
    send resend redeliver notify broadcast announce respond retweet repost unfollow subscribe resubscribe
    unshare dial redial hangup kick chime speak say poke nudge whisper summon
    """
)

CHANGE = MAKE | REMOVE | ALTER | SWITCH | DECIDE | SPEAK

# The next four change something when they lead ("update the ticket"), but are things or qualities behind a
# verb that looks ("get the latest update", "list change sets"). Changing and arranging:
LEADING_ALTERS = words(
    """
    do change embed compact flip mirror redirect mask update set post reset move copy switch turn rotate
    fix step make fork stash override tune drop group ungroup fill cut paste arrange extend
    renew act transition duplicate rate use commit merge trash clean cleanup seed empty dim trim clone
    upgrade restore edit save register mark pair crop rollback connect produce cherrypick zip recover wrap
    route shift align collapse limit cap correct
    """
)

# Starting, stopping, letting in and out:
LEADING_STARTS = words(
    """
    import arm park dock reopen start stop close finish end begin resume pause push pull checkout checkin
    scale quarantine boost vacuum hide setup signup signin login logout signout logoff signoff pin watch
    unwatch consume teardown gitfetch install deploy launch replay failover retry reload wake exec eval
    """
)

# Giving, taking, trading, taking part:
LEADING_GIVES = words(
    """
    return dispatch bid ring relay hail invite leave join share claim swap stake transfer refund charge
    purchase assign vote void propose handle fire ban like follow expire go reply forward dispose optin
    optout favorite favourite delegate associate raise ship deposit mint buy sell pay react compose
    reserve burn teach train journal jot imagine host
    """
)

# Moving a mouse, a finger or a robot:
LEADING_MOVES = words("press tap swipe hover scroll click drag feed water bounce")

CHANGE_WHEN_LEADING = LEADING_ALTERS | LEADING_STARTS | LEADING_GIVES | LEADING_MOVES

# Things first of all ("order", "comment"), verbs now and then: the description must tell which.
CHANGE_OR_THING = words(
    """
    text touch ticket order comment release log tag label note message email mail tweet alert record bill
    invoice credit debit snapshot stream build index partition power sleep queue trigger schedule fax
    document file issue archive backup block lock mention star flag book bookmark link event action
    contact chat play cast type debug complete price title sequence mutation script command shell
    patch store
    """
)

# They run what they are handed, or may do either: what they are done to decides, or else the description.
EITHER = words(
    """
    split call deduplicate dedupe normalize categorize categorise run execute evaluate perform test open
    export download generate sync synchronize synchronise refresh resolve scan crawl transform process
    verify monitor track screenshot dump load ask capture navigate optimize optimise expand sign review
    answer match collect sample format print draw plot benchmark convert request reason select study
    triage map render prompt sort simulate obtain take define learn
    report
    """
)

# Those of them that run whatever they are handed.
RUNNERS = words("call eval evaluate exec execute perform process run")

# Those that hand over what is there, unless they put it somewhere: a file, a job.
HANDS_OVER = words("export download screenshot")

# Verbs so empty that an action parameter tells more than they do.
EMPTY_VERBS = words("manage handle do act process perform")

# The few that everybody uses, of which run-together names are made: "getuser".
EVERYDAY = words(
    """
    get list search fetch find read show view describe query count lookup check create update delete
    remove add insert edit send set upload download run execute move copy assign close open start stop
    reset upsert
    """
)

# An errand that only looks, though its verb could do either: "run a report", "test the connection".
HARMLESS_ERRANDS: dict[str, frozenset[str]] = {
    "ask": words("question questions documentation docs"),
    "capture": words("screenshot screenshots accessibility"),
    "convert": words("currency currencies timezone timezones time timestamp units unit temperature date"),
    "evaluate": words("metric metrics policy policies condition rule rules flag flags quality risk"),
    "generate": words("link links url urls deeplink deeplinks summary diagram uuid types"),
    "navigate": words("tools menu"),
    "obtain": words("details information list"),
    "open": words("node nodes"),
    "perform": words("search lookup analysis calculation"),
    "render": words("template templates config configuration markdown html page diagram chart"),
    "resolve": words("dns domain domains hostname host ip address library id name names url path entity"),
    "return": words("menu navigation"),
    "run": words("report reports analysis audit diagnostics diagnostic lighthouse search"),
    "simulate": words("policy policies permissions transaction tx swap scenario evaluation"),
    "take": words("screenshot screenshots"),
    "test": words("connection connectivity regex"),
    "verify": words("signature checksum integrity proof hash"),
}

# What makes more of such an errand, or of a look: "resolve incident name", "payment link", "check the box".
NOT_HARMLESS: dict[str, frozenset[str]] = {
    "check": words("box boxes checkbox checkboxes radio todo"),
    "display": words("notification toast alert dialog popup banner modal messagebox splash message"),
    "extract": words("archive zip tar rar tarball"),
    "generate": words(
        """
        invite invitation share sharing shareable payment checkout upload meeting signing reset access magic
        short presigned signed referral download tracking token key
        """
    ),
    "list": words("sale"),
    "resolve": words(
        """
        incident incidents ticket tickets issue issues alert alerts thread threads comment comments conflict
        conflicts case problem dispute finding findings review request discussion error
        """
    ),
    "run": words("playbook script command"),
    "show": words("notification toast alert dialog popup banner modal messagebox splash message"),
}

# Two words that are one verb.
PHRASES = {
    (first, second): first + second
    for first, seconds in {
        "check": "in out",
        "cherry": "pick",
        "git": "fetch",
        "log": "in out off",
        "look": "up",
        "opt": "in out",
        "power": "on off",
        "roll": "back",
        "set": "up",
        "shut": "down",
        "sign": "in up out off",
        "tear": "down",
        "who": "ami",
    }.items()
    for second in seconds.split()
}
