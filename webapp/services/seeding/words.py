"""The language of tool names: what English software verbs do to the world, and the things they do it to."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Verbs that look and never touch, whatever follows them.
LOOK = _words(
    """
    get fetch retrieve find describe lookup inspect browse discover enumerate gather peek 
    examine explore identify determine detect locate recall recollect poll await wait observe see ascertain
    consult investigate diagnose troubleshoot introspect scrape geocode whoami
    ls cat stat grep ripgrep glob dig whois nslookup traceroute ping
    geolocate blame echo
    """
)

# Verbs that look, but are things too: "list users" and "a list", "search orders" and "a saved search".
LOOK_OR_THING = _words("list search view query count filter trace profile audit hash tree diff head tail lint read score rank estimate forecast average aggregate preview check show display measure help")

# Verbs that work something out and hand it back: nothing outside the call changes.
COMPUTE = _words(
    """
    analyze analyse calculate compute compare summarize summarise predict 
    recommend suggest assess explain interpret parse decode decrypt validate classify
    tokenize transcribe infer correlate interpolate extrapolate visualize visualise tabulate extract render
    """
)

# The rest of these groups change something. As bare verbs they are never mere things, so they count wherever
# in a name they stand. First: bringing into being.
MAKE = _words(
    """
    create add insert write upsert append prepend persist publish republish unpublish submit resubmit
    reregister enroll enrol onboard provision reprovision scaffold instantiate init initialize initialise
    bootstrap spawn relaunch replicate ingest inject annotate mkdir regenerate 
    emit rebuild reindex reimport populate repopulate 
    upload embed transcode animate assemble compile adopt enlist
    """
)

# Taking away, and undoing the taking away.
REMOVE = _words(
    """
    delete remove destroy erase flush purge truncate wipe clear unset prune evict rm rmdir unlink unregister deregister
    unenroll offboard deprovision decommission uninstall undeploy unsubscribe unmount unbind detach disassociate
    dissociate deallocate revoke redact anonymize anonymise obfuscate forget retire expunge undelete untrash
    unarchive unretire revert undo redo compact reclaim 
    dequarantine eject unadopt undelegate unembed unwrap scrub defragment defrag
    """
)

# Changing what is there, or how it is arranged.
ALTER = _words(
    """
    modify alter rename replace overwrite put adjust configure reconfigure customize customise
    unmark toggle relocate migrate resize reorder rearrange resort rewrite refactor relabel retitle untag
    attach reattach bind reassign unassign unmerge rebase bump increment decrement
    downgrade promote demote repair heal remediate reconcile resync chmod chown mv recolor
    compress decompress unzip encrypt autofill unstage brighten unpin unstar unlike
    unfavorite unfavourite deduplicate dedupe normalize reformat
    amend revise rectify enrich augment enhance tweak calibrate flip mirror reroute redirect throttle restrict shrink rebalance reshard repartition rekey mask unmask harden squash colorize upscale downscale freeze unfreeze thaw sanitize organize organise categorize categorise prioritize prioritise
    """
)

# Switching, starting, stopping: the state of a machine, service or job.
SWITCH = _words(
    """
    enable disable activate deactivate reactivate reinstall redeploy restart reboot shutdown kill
    terminate abort halt cancel suspend unsuspend unpause hibernate invoke dispatch rerun requeue
    enqueue dequeue reschedule unschedule failback cutover drain cordon uncordon isolate unisolate
    unquarantine reimage invalidate disconnect reconnect unpair unload mute unmute skip rewind
    seek shuffle poweroff poweron
    blink arm disarm silence unsilence suppress detonate park unpark dock undock
    """
)

# Deciding and granting: someone gets, loses, or owes something.
DECIDE = _words(
    """
    approve reapprove reject deny decline accept confirm authorize authorise authenticate reauthenticate grant
    impersonate allocate reallocate unreserve nominate elevate escalate deescalate acknowledge ack
    nack snooze unsnooze dismiss defer postpone reopen uncomplete unresolve unlock unblock unban unhide allowlist
    denylist whitelist blacklist apply reapply repay prepay withdraw redeem
    fulfill fulfil restock unstake upvote downvote abandon remember memorize memorise 
    finetune acquire manage
    finalize finalise settle certify waive reimburse disburse remit lend borrow liquidate bid airdrop notarize countersign moderate ratify endorse hire rehire
    """
)

# Speaking to others: it can't be taken back.
SPEAK = _words(
    """
    send resend redeliver notify broadcast announce respond retweet repost unfollow subscribe resubscribe
    unshare dial redial hangup kick
    ring chime speak say relay poke nudge whisper hail summon
    """
)

CHANGE = MAKE | REMOVE | ALTER | SWITCH | DECIDE | SPEAK

# Verbs that change something when they lead ("update the ticket") but are things or qualities behind a verb
# that looks ("get the latest update", "list change sets").
CHANGE_WHEN_LEADING = _words(
    """
    update set post change reset start stop move copy import close finish end begin return resume pause invite
    leave join share claim swap stake transfer switch turn rotate refund charge purchase fix store step
    press tap swipe hover scroll click drag make do push pull fork stash checkout checkin scale assign vote
    void propose handle fire quarantine boost vacuum ban hide like follow override patch bulk tune drop group
    ungroup fill cut paste arrange expire extend renew go act setup signup signin login logout signout logoff signoff reply forward pin unlock
    dispose watch unwatch reopen transition duplicate rate consume switch use teardown optin optout commit merge
    favorite favourite trash clean cleanup
    delegate associate seed empty dim trim raise click ship deposit mint clone upgrade restore install deploy launch replay failover edit save register mark pair buy sell pay crop rollback connect react compose reserve burn produce cherrypick zip recover retry reload wake teach train
    feed water wrap route shift align collapse limit cap correct journal jot imagine bounce host
    """
)

# Things first of all ("order", "comment"), verbs now and then: the description must tell which.
CHANGE_OR_THING = _words(
    """
    comment order release log tag label note message email mail tweet alert record bill invoice credit debit
    snapshot stream build index partition power sleep queue trigger schedule text fax document file issue ticket
    archive backup block lock mention star flag book bookmark link event report action contact
    chat play cast touch type debug complete map price title sequence mutation script command shell exec
    """
)

# Verbs that run what they are handed, or may do either: only the description can tell.
EITHER = _words(
    """
    run execute eval evaluate call perform test open export download generate sync synchronize synchronise refresh
    resolve scan crawl transform process verify monitor track screenshot dump load ask think capture navigate
    optimize optimise expand split sign review answer match collect sample format print draw plot encode probe
    benchmark convert request reason select research study triage prompt translate sort
    simulate obtain take define learn 
    """
)

# An errand that only looks, though its verb could do either: "run a report", "test the connection".
HARMLESS_ERRANDS: dict[str, frozenset[str]] = {
    "test": _words("connection connectivity regex"),
    "run": _words("report reports analysis audit diagnostics diagnostic lighthouse search"),
    "generate": _words("link links url urls summary diagram uuid report"),
    "resolve": _words("dns domain domains hostname host ip address library id name names url path reference entity"),
    "verify": _words("signature checksum integrity proof hash"),
    "convert": _words("currency currencies timezone timezones time timestamp units unit temperature date color"),
    "navigate": _words("tools menu"),
    "return": _words("menu navigation"),
    "simulate": _words("policy policies permissions transaction tx swap scenario evaluation"),
    "take": _words("screenshot screenshots"),
    "ask": _words("question questions documentation docs"),
    "obtain": _words("details information list"),
    "perform": _words("search lookup analysis calculation"),
}

# Verbs that run what they are handed.
RUNNERS = _words("run execute exec eval evaluate call perform process")

# Query languages that can only read, so "execute a … query" in them is a look.
READING_LANGUAGES = _words(
    "promql logql traceql kql jql nrql gaql wiql soql sosl insights lucene jsonpath jmespath xpath osquery splunkql"
)

# What code, SQL and raw requests are called where a tool runs whatever it is given.
ANYTHING_GOES = _words(
    """
    sql psql plsql tsql cypher code script scripts command commands cmd shell bash powershell pwsh python javascript
    js ruby perl terminal anonymous apex mutation graphql curl expression statement statements snippet ssh repl
    """
)

# Verbs that hand over what is there, unless they put it somewhere: a file, a job.
HANDS_OVER = _words("export download screenshot capture dump")

# What is shown to a person is told to them: "show notification" speaks.
SHOWN_TO_PEOPLE = _words("notification notifications toast alert dialog popup banner modal messagebox splash")

# Parameters that name a place to write to.
DESTINATIONS = _words(
    """
    outputpath outputfile outputdir outputdirectory outputfolder outfile outdir savepath saveto savedir savefile
    savetofile savetodisk dest destdir destination destinationpath destpath localpath localfile downloadpath downloaddir
    downloadto targetpath exportpath filename filepath storage folder folderid bucket
    """
)

# Parameters that carry code, statements or commands to run.
RAW_PARAMETERS = _words("sql statement statements cypher mutation code script command cmd shell javascript python")

# A name without a verb that ends in one of these asks how things are.
STATE = _words(
    """
    status statuses state states info information details detail history stats statistics count counts summary
    overview metrics metadata schema schemas version versions health usage contents capabilities permissions
    fields columns tables types balance balances quota quotas limits uptime inventory availability timeline
    breakdown insights trends ranking rankings leaderboard results progress activity properties attributes
    """
)

# Short words that say how much or which way, before the verb: "bulk delete", "async list".
MANNER = _words("batch bulk multi async quick safe auto all mass many try maybe force direct fast smart advanced")

# Words that join two verbs: "get or create", "fetch and delete".
JOINERS = _words("and or then n")

# Behind these stands a thing: "list by order", "settings for import".
PREPOSITIONS = _words("by for of in with from as at per on within about")

# Two words that are one verb.
PHRASES = {
    (first, second): first + second
    for first, seconds in {
        "check": "in out",
        "sign": "in up out off",
        "log": "in out off",
        "set": "up",
        "look": "up",
        "tear": "down",
        "shut": "down",
        "opt": "in out",
        "roll": "back",
        "cherry": "pick",
        "who": "ami",
        "power": "on off",
    }.items()
    for second in seconds.split()
}

# Two words that are one thing, though the first could be a verb.
THINGS_OF_TWO = {
    (first, second)
    for first, seconds in {
        "pull": "request requests",
        "merge": "request requests",
        "change": "request requests log logs set sets order orders event events history feed",
        "purchase": "order orders",
        "rate": "limit limits card cards",
        "scale": "set sets",
        "switch": "port ports",
        "start": "date time page",
        "end": "date time point points",
        "close": "date",
        "step": "function functions",
        "store": "front fronts",
        "drop": "box",
        "import": "job jobs",
        "like": "count",
        "follow": "up ups",
        "stop": "loss",
    }.items()
    for second in seconds.split()
}

# Parameters by which a tool that changes something asks "are you sure?".
CONFIRMATIONS = _words("confirm confirmed confirmation dryrun isdryrun skipconfirmation requireconfirmation")

# Verbs of a name so empty that an action parameter tells more.
EMPTY_VERBS = _words("manage handle do act process perform")

# The verbs of which run-together names are made: the few that everybody uses.
EVERYDAY_VERBS = _words(
    "get list search fetch find read show view describe query count lookup check create update delete remove add "
    "insert edit send set upload download run execute move copy assign close open start stop reset upsert"
)

# Names of action parameters: when their values hold a write, the tool is one.
ACTION_PARAMETERS = _words("action actions operation operations op method command cmd mode verb subcommand")

# Words that carry a run-together name such as "getuser" or "listissuesbyproject".
THINGS = _words(
    """
    account accounts activity address addresses agent agents alert alerts all app application applications apps
    article articles asset assets attachment attachments balance block board boards book bookmark bot branch branches
    browser bucket budget bug build by calendar campaign card cards cart category channel channels chat chart check
    client clients cluster code collection column columns comment comments commit commits company companies config
    configuration contact contacts container containers content contract conversation cost count customer customers
    data database databases date deal deals dashboard dashboards deployment details device devices directory
    directories disk document documents domain domains draft drafts email emails employee endpoint entity entities
    entry environment error errors event events expense field fields file files folder folders for form forms from
    group groups history host hosts id ids image images in incident incidents index info insight instance instances
    integration inventory invoice invoices issue issues item items job jobs key keys label labels lead leads license
    line link links list lists location locations log logs mail mailbox map me member members memory memories message
    messages meta metadata metric metrics milestone model models my name names namespace network networks node nodes
    note notes notification notifications object objects of offer opportunity option order orders organization
    organizations package packages page pages parameter path payment payments permission permissions person people
    pipeline plan playlist pod pods point policies policy post posts price prices priority process product products
    profile project projects property queue quota quote rate record records repo report reports repository
    repositories request requests resource resources result results review role roles room row rows rule rules
    schedule schema script secret secrets server servers service services session sessions setting settings site
    sites snapshot space spaces sprint stats status statuses stock storage stream subnet subscription summary system
    table tables tag tags task tasks team teams template templates tenant test text thread threads ticket tickets
    time title to token tokens tool tools topic transaction transactions type types update updates url usage user
    users value values variable version versions video videos view views virtual volume wallet weather webhook
    webhooks widget wiki with word work worker workflow workflows workspace workspaces zone zones
    """
)
