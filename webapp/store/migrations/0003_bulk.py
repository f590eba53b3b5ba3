"""Bulk changes of policies, which can be taken back; tools that hide characters are marked."""

import json
import unicodedata

from peewee import CharField, DateTimeField, ForeignKeyField, Model, PostgresqlDatabase, TextField

# As the application's own rule stood when this was written.
HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
MARKS = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0}
MARKS |= {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def up(migrator, db):
    # Not by add_column: it would build the table anew, and dropping the old one would empty what points to it.
    no = 'BOOLEAN NOT NULL DEFAULT FALSE' if isinstance(db, PostgresqlDatabase) else 'INTEGER NOT NULL DEFAULT 0'
    for column in (f'"flagged" {no}', '"policy_bulk" VARCHAR(255) NOT NULL DEFAULT \'\''):
        db.execute_sql(f'ALTER TABLE "tool" ADD COLUMN {column}')
    db.execute_sql('CREATE INDEX "tool_catalogue_name_policy" ON "tool" ("catalogue_name", "policy")')
    # What was done to one tool, without walking past its calls.
    db.execute_sql('CREATE INDEX "entry_tool_changes" ON "entry" ("tool", "id") WHERE "kind" = \'change\'')
    rows = db.execute_sql('SELECT "id", "definition" FROM "tool"').fetchall()
    flagged = [id for id, definition in rows if hides(json.loads(definition))]
    for id in flagged:
        db.execute_sql(f'UPDATE "tool" SET "flagged" = {db.param} WHERE "id" = {db.param}', (True, id))

    class Tool(Model):
        class Meta:
            database = db
            table_name = 'tool'

    class BulkChange(Model):
        id = CharField(primary_key=True)
        at = DateTimeField()
        by = CharField()
        what = TextField()
        integration = CharField(default='')
        undoes = ForeignKeyField('self', null=True, on_delete='SET NULL')
        class Meta:
            database = db
            table_name = 'bulk_change'
            indexes = ((('at',), False),)
    db.create_tables([BulkChange])

    class BulkItem(Model):
        bulk = ForeignKeyField(BulkChange, on_delete='CASCADE')
        tool = ForeignKeyField(Tool, null=True, on_delete='SET NULL')
        catalogue_name = CharField()
        kind = CharField()
        before = CharField()
        after = CharField()
        definition_digest = CharField()
        class Meta:
            database = db
            table_name = 'bulk_item'
    db.create_tables([BulkItem])


def hides(value):
    if isinstance(value, str):
        return any(unicodedata.category(c) in HIDDEN or ord(c) in MARKS for c in value if c not in "\n\t ")
    if isinstance(value, dict):
        return any(hides(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(hides, value))
