"""The other words of tool names: things, states, languages, parameters, and the small words between."""

from __future__ import annotations

from webapp.services.seeding.verbs import words

# A name without a verb that ends in one of these asks how things are.
STATE = words(
    """
    status statuses state states info information details detail history stats statistics count counts
    summary overview metrics metadata schema schemas version versions health usage contents capabilities
    permissions fields columns tables types balance balances quota quotas limits uptime inventory
    availability timeline breakdown insights trends ranking rankings leaderboard results progress activity
    properties attributes
    """
)

# Short words that say how, before the verb: "bulk delete", "async list".
MANNER = words(
    """
    batch bulk multi async quick safe auto all mass many try maybe force direct fast smart advanced
    """
)

# Words that join two verbs: "get or create", "fetch and delete".
JOINERS = words("and or then n")

# Behind these stands a thing: "list by order", "settings for import".
PREPOSITIONS = words("by for of in with from as at per on within about")

# Query languages that can only read: to run something in them is to look.
READING_LANGUAGES = words(
    """
    promql logql traceql kql jql nrql gaql wiql soql sosl insights lucene jsonpath jmespath xpath osquery
    """
)

# What code, SQL and raw requests are called where a tool runs whatever it is given.
ANYTHING_GOES = words(
    """
    sql psql plsql tsql cypher code script scripts command commands cmd shell bash powershell pwsh python
    javascript js ruby perl terminal anonymous apex mutation graphql curl expression statement statements
    snippet ssh repl
    """
)

# Where a "query" is whatever SQL or the like one writes.
STORES = words(
    """
    database databases db sql graphql postgres postgresql mysql mariadb sqlite mssql oracle snowflake
    bigquery redshift clickhouse duckdb cypher warehouse neo4j cockroachdb databricks athena trino presto
    d1
    """
)

# Two words that are one thing, though the first could be a verb.
THINGS_OF_TWO = {
    (first, second)
    for first, seconds in {
        "add": "on ons in ins",
        "change": "request requests log logs set sets order orders event events history feed",
        "close": "date",
        "drop": "box",
        "end": "date time point points",
        "follow": "up ups",
        "import": "job jobs",
        "like": "count",
        "merge": "request requests",
        "pull": "request requests",
        "purchase": "order orders",
        "rate": "limit limits card cards",
        "scale": "set sets",
        "start": "date time page",
        "step": "function functions",
        "stop": "loss",
        "switch": "port ports",
    }.items()
    for second in seconds.split()
}

# Names of parameters are compared without case, dashes and underscores. When the values of one of these
# hold a write, the tool is one.
ACTION_PARAMETERS = words(
    """
    action actions operation operations op method command cmd mode verb subcommand
    """
)

# By these a tool that changes something asks whether one is sure.
CONFIRMATIONS = words(
    """
    confirm confirmed confirmation dryrun isdryrun skipconfirmation requireconfirmation
    """
)

# These carry code, statements or commands to run.
RAW_PARAMETERS = words(
    """
    sql statement statements cypher mutation code script command cmd shell javascript python
    """
)

# These name a place to write to.
DESTINATIONS = words(
    """
    bucket dest destdir destination destinationpath destpath downloaddir downloadpath downloadto
    exportpath filename filepath folder folderid localfile localpath outdir outfile outputdir
    outputdirectory outputfile outputfolder outputpath savedir savefile savepath saveto savetodisk
    savetofile storage targetpath
    """
)

# What run-together names are made of: "listissuesbyproject".
THINGS = words(
    """
    api auth bandwidth battery cache certificate cloud cpu desktop gpu hardware laptop license memory mobile
    phone power printer ram router software switch traffic tunnel vm vpn wifi
    account accounts activity address addresses agent agents alert alerts all app application applications
    apps article articles asset assets attachment attachments balance block board boards book bookmark bot
    branch branches browser bucket budget bug build by calendar campaign card cards cart category channel
    channels chart chat check client clients cluster code collection column columns comment comments
    commit commits companies company config configuration contact contacts container containers content
    contract conversation cost count customer customers dashboard dashboards data database databases date
    deal deals deployment details device devices directories directory disk document documents domain
    domains draft drafts email emails employee endpoint entities entity entry environment error errors
    event events expense field fields file files folder folders for form forms from group groups history
    host hosts id ids image images in incident incidents index info insight instance instances integration
    inventory invoice invoices issue issues item items job jobs key keys label labels lead leads license
    line link links list lists location locations log logs mail mailbox map me member members memories
    memory message messages meta metadata metric metrics milestone model models my name names namespace
    network networks node nodes note notes notification notifications object objects of offer opportunity
    option order orders organization organizations package packages page pages parameter path payment
    payments people permission permissions person pipeline plan playlist pod pods point policies policy
    post posts price prices priority process product products profile project projects property queue
    quota quote rate record records repo report reports repositories repository request requests resource
    resources result results review role roles room row rows rule rules schedule schema script secret
    secrets server servers service services session sessions setting settings site sites snapshot space
    spaces sprint stats status statuses stock storage stream subnet subscription summary system table
    tables tag tags task tasks team teams template templates tenant test text thread threads ticket
    tickets time title to token tokens tool tools topic transaction transactions type types update updates
    url usage user users value values variable version versions video videos view views virtual volume
    wallet weather webhook webhooks widget wiki with word work worker workflow workflows workspace
    workspaces zone zones
    """
)

# What may stand before the verb of a description: "This tool can be used to …", "Allows agents to …".
PREAMBLE = words(
    """
    a an the this that it is are be can will may which tool tools function command endpoint method action
    operation api mcp use uses used using to for of by and you your agents users user ai assistants allow
    allows allowing let lets help helps when need want if please simply optionally first also always only
    preferred batch bulk designed able ability
    """
)

# From these on, a sentence speaks of purposes and conditions, not of what the tool does.
ASIDES = words(
    """
    to for before when after so that which without instead not unless if useful such like via using from
    based by on in at of with about including whether where while how because since until rather than can
    may must should
    """
)

# A word before one of these is a verb, a word behind one is not: "Order a pizza", "the order".
DETERMINERS = words(
    "a an the this these one multiple your all any new existing each every some several specific its their"
)
PRONOUNS = words("it them")
