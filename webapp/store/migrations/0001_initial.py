"""The first schema. The models here are frozen copies: later changes of the tables are migrations of their own."""

from peewee import (
    AutoField,
    BigAutoField,
    BlobField,
    BooleanField,
    CharField,
    DateTimeField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    PostgresqlDatabase,
    TextField,
)


def up(migrator, db):
    class User(Model):
        email = CharField(unique=True)
        name = CharField(default='')
        password_hash = CharField()
        role = CharField()
        created_at = DateTimeField()
        disabled_at = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'user'
    db.create_tables([User])

    class Agent(Model):
        name = CharField(unique=True)
        key_prefix = CharField(unique=True)
        key_hash = CharField(unique=True)
        owner = ForeignKeyField(User, null=True, on_delete='SET NULL')
        every_integration = BooleanField(default=True)
        created_at = DateTimeField()
        expires_at = DateTimeField(null=True)
        revoked_at = DateTimeField(null=True)
        last_used_at = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'agent'
    db.create_tables([Agent])

    class Integration(Model):
        kind = CharField()
        name = CharField(unique=True)
        title = CharField()
        state = CharField(default='draft')
        state_reason = TextField(default='')
        url = TextField(default='')
        allowances = TextField()
        protocol = CharField(default='')
        server = TextField()
        settings = TextField()
        settings_sealed = BlobField(null=True)
        created_by = ForeignKeyField(User, null=True, on_delete='SET NULL')
        created_at = DateTimeField()
        connected_at = DateTimeField(null=True)
        finished_at = DateTimeField(null=True)
        synced_at = DateTimeField(null=True)
        sync_error = TextField(default='')
        sync_due_at = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'integration'
    db.create_tables([Integration])

    class AgentIntegration(Model):
        agent = ForeignKeyField(Agent, on_delete='CASCADE')
        integration = ForeignKeyField(Integration, on_delete='CASCADE')
        class Meta:
            database = db
            table_name = 'agent_integration'
            indexes = ((('agent', 'integration'), True),)
    db.create_tables([AgentIntegration])

    class Tool(Model):
        integration = ForeignKeyField(Integration, on_delete='CASCADE')
        name = CharField()
        catalogue_name = CharField(unique=True)
        wire_name = CharField(unique=True)
        title = TextField(default='')
        description = TextField(default='')
        definition = TextField()
        definition_digest = CharField()
        kind = CharField()
        seed_policy = CharField()
        seed_reason = TextField()
        policy = CharField()
        policy_by = CharField(default='')
        policy_at = DateTimeField(null=True)
        first_seen_at = DateTimeField()
        changed_at = DateTimeField(null=True)
        missing_since = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'tool'
            indexes = ((('integration', 'name'), True),)
    db.create_tables([Tool])

    class Approval(Model):
        id = CharField(primary_key=True)
        open_key = CharField(unique=True, null=True)
        agent = ForeignKeyField(Agent, null=True, on_delete='SET NULL')
        agent_name = CharField()
        tool = ForeignKeyField(Tool, null=True, on_delete='SET NULL')
        catalogue_name = CharField()
        arguments = BlobField()
        arguments_digest = CharField()
        definition_digest = CharField()
        reason = TextField(default='')
        state = CharField(default='waiting')
        created_at = DateTimeField()
        expires_at = DateTimeField()
        decided_by = CharField(default='')
        decided_at = DateTimeField(null=True)
        note = TextField(default='')
        worker = CharField(default='')
        finished_at = DateTimeField(null=True)
        result = BlobField(null=True)
        result_delivered_at = DateTimeField(null=True)
        agent_waits_until = DateTimeField()
        class Meta:
            database = db
            table_name = 'approval'
            indexes = ((('state', 'created_at'), False),)
    db.create_tables([Approval])

    class Check(Model):
        integration = ForeignKeyField(Integration, unique=True, on_delete='CASCADE')
        started_at = DateTimeField()
        finished_at = DateTimeField(null=True)
        findings = TextField()
        verdict = TextField(null=True)
        class Meta:
            database = db
            table_name = 'check'
    db.create_tables([Check])

    class Connection(Model):
        integration = ForeignKeyField(Integration, unique=True, on_delete='CASCADE')
        kind = CharField()
        headers = TextField()
        secrets = BlobField(null=True)
        account = CharField(default='')
        verified_at = DateTimeField(null=True)
        changed_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'connection'
    db.create_tables([Connection])

    class Entry(Model):
        id = BigAutoField()
        at = DateTimeField()
        kind = CharField()
        actor_kind = CharField()
        actor = CharField()
        action = CharField()
        integration = CharField(default='')
        tool = CharField(default='')
        policy = CharField(default='')
        outcome = CharField(default='ok')
        duration_ms = FloatField(null=True)
        approval = CharField(default='')
        ip = CharField(default='')
        details = TextField(default='{}')
        digest = BlobField()
        class Meta:
            database = db
            table_name = 'entry'
            indexes = ((('kind', 'at'), False), (('tool', 'id'), False), (('actor', 'id'), False))
    db.create_tables([Entry])

    class Intent(Model):
        id = CharField(primary_key=True)
        worker = CharField(index=True)
        created_at = DateTimeField()
        entry = TextField()
        class Meta:
            database = db
            table_name = 'intent'
    db.create_tables([Intent])

    class Quarantine(Model):
        integration = ForeignKeyField(Integration, on_delete='CASCADE')
        name = TextField()
        reason = TextField()
        seen_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'quarantine'
    db.create_tables([Quarantine])

    class Session(Model):
        token_hash = CharField(unique=True)
        user = ForeignKeyField(User, on_delete='CASCADE')
        created_at = DateTimeField()
        seen_at = DateTimeField()
        ip = CharField(default='')
        browser = CharField(default='')
        class Meta:
            database = db
            table_name = 'session'
    db.create_tables([Session])

    class State(Model):
        key = CharField(primary_key=True)
        value = TextField()
        class Meta:
            database = db
            table_name = 'state'
    db.create_tables([State])

    class Throttle(Model):
        bucket = CharField(primary_key=True)
        tries = IntegerField(default=0)
        since = DateTimeField()
        class Meta:
            database = db
            table_name = 'throttle'
    db.create_tables([Throttle])

    class Worker(Model):
        id = CharField(primary_key=True)
        started_at = DateTimeField()
        seen_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'worker'
    db.create_tables([Worker])

    # Nobody changes the log afterwards, not even by a slip in our own code.
    if isinstance(db, PostgresqlDatabase):
        db.execute_sql("""
            CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'the log is append-only'; END $$""")
        for name, event in (("changed", "UPDATE"), ("removed", "DELETE"), ("emptied", "TRUNCATE")):
            each = "STATEMENT" if event == "TRUNCATE" else "ROW"
            db.execute_sql(f"""CREATE TRIGGER entry_is_not_{name} BEFORE {event} ON entry
                FOR EACH {each} EXECUTE FUNCTION refuse_change()""")
        return
    db.execute_sql("""
        CREATE TRIGGER entry_is_not_changed BEFORE UPDATE ON entry
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""")
    db.execute_sql("""
        CREATE TRIGGER entry_is_not_removed BEFORE DELETE ON entry
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""")

