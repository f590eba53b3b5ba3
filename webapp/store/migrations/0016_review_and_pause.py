"""What waits for a person's look and what it was before; what screening found; pauses with who and why."""

from peewee import CharField, DateTimeField, ForeignKeyField, Model, TextField


def up(migrator, db):
    moment = db.field_types.get('DATETIME', 'DATETIME')
    # Not by add_column: it would build the tables anew, and dropping the old ones would empty what points to them.
    for table, column in (
        ('tool', '"policy_before" VARCHAR(255) NOT NULL DEFAULT \'\''),
        ('tool', '"reviewed_definition" TEXT'),
        ('tool', '"flags" TEXT NOT NULL DEFAULT \'[]\''),
        ('integration', '"new_tools" VARCHAR(255) NOT NULL DEFAULT \'approval\''),
        ('integration', '"screened_by" INTEGER NOT NULL DEFAULT 0'),
        ('approval', f'"frozen_at" {moment}'),
    ):
        db.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN {column}')
    db.execute_sql('CREATE INDEX "tool_waits" ON "tool" ("integration_id") WHERE "policy_before" <> \'\'')
    db.execute_sql('UPDATE "tool" SET "policy_before" = "policy" WHERE "changed_at" IS NOT NULL')

    def known(name):
        class Known(Model):
            class Meta:
                database = db
                table_name = name
        return Known

    class Pause(Model):
        key = CharField(unique=True)
        scope = CharField()
        integration = ForeignKeyField(known('integration'), null=True, on_delete='CASCADE')
        agent = ForeignKeyField(known('agent'), null=True, on_delete='CASCADE')
        at = DateTimeField()
        by = CharField()
        by_role = CharField()
        reason = TextField()
        class Meta:
            database = db
            table_name = 'pause'
    db.create_tables([Pause])
    # A server that was paused before there were reasons.
    db.execute_sql(
        'INSERT INTO "pause" ("key", "scope", "integration_id", "at", "by", "by_role", "reason")'
        ' SELECT \'server:\' || "name", \'server\', "id", CURRENT_TIMESTAMP, \'\', \'technician\', \'\''
        ' FROM "integration" WHERE "state" = \'paused\' AND "kind" = \'server\''
    )
