"""Who made an agent's key, and so may have it. Not by add_column: see 0007_tool_search."""


def up(migrator, db):
    db.execute_sql('ALTER TABLE "agent" ADD COLUMN "key_by_id" INTEGER'
                   ' REFERENCES "user" ("id") ON DELETE SET NULL')
    db.execute_sql('UPDATE "agent" SET "key_by_id" = "owner_id"')
