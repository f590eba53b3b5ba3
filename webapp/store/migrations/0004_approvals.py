"""The same call approved for a while, the rule of two, and notices that a call waits."""

from peewee import (
    BlobField,
    BooleanField,
    CharField,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    PostgresqlDatabase,
    TextField,
)


def up(migrator, db):
    def known(name):
        class Known(Model):
            class Meta:
                database = db
                table_name = name
        return Known

    class Approval(Model):
        id = CharField(primary_key=True)
        class Meta:
            database = db
            table_name = 'approval'

    class Standing(Model):
        key = CharField(index=True)
        agent = ForeignKeyField(known('agent'), null=True, index=False, on_delete='SET NULL')
        agent_name = CharField()
        tool = ForeignKeyField(known('tool'), null=True, index=False, on_delete='SET NULL')
        catalogue_name = CharField()
        approval = CharField()
        by = CharField()
        by_user = ForeignKeyField(known('user'), null=True, index=False, on_delete='SET NULL')
        created_at = DateTimeField()
        expires_at = DateTimeField()
        ended_at = DateTimeField(null=True)
        ended_by = CharField(default='')
        uses = IntegerField(default=0)
        class Meta:
            database = db
            table_name = 'standing'
    db.create_tables([Standing])

    class NoticeChannel(Model):
        kind = CharField(unique=True)
        on = BooleanField(default=True)
        settings = TextField()
        secret = BlobField(null=True)
        allowances = TextField()
        changed_at = DateTimeField()
        next_at = DateTimeField()
        sent_at = DateTimeField(null=True)
        failures = IntegerField(default=0)
        problem = TextField(default='')
        class Meta:
            database = db
            table_name = 'notice_channel'
    db.create_tables([NoticeChannel])

    class Notice(Model):
        channel = ForeignKeyField(NoticeChannel, on_delete='CASCADE')
        approval = ForeignKeyField(Approval, index=False, on_delete='CASCADE')
        claimed_at = DateTimeField()
        sent_at = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'notice'
            indexes = ((('approval', 'channel'), True),)
    db.create_tables([Notice])

    # Not by add_column: it would build the tables anew, and dropping the old ones would empty what points to them.
    postgresql = isinstance(db, PostgresqlDatabase)
    no = 'BOOLEAN NOT NULL DEFAULT FALSE' if postgresql else 'INTEGER NOT NULL DEFAULT 0'
    db.execute_sql(f'ALTER TABLE "tool" ADD COLUMN "second_person" {no}')
    db.execute_sql('ALTER TABLE "approval" ADD COLUMN "standing_id" INTEGER'
                   ' REFERENCES "standing" ("id") ON DELETE SET NULL')
    db.execute_sql(f'ALTER TABLE "approval" ADD COLUMN "log_row" {"BIGINT" if postgresql else "INTEGER"}')
    db.execute_sql('CREATE INDEX "approval_created_at" ON "approval" ("created_at")')
