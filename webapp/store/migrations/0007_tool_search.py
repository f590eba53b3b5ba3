"""Whether an agent sees its tools or a search for them."""


def up(migrator, db):
    # Not by add_column: for a NOT NULL column it copies the whole table, with everything that refers to it.
    db.execute_sql("""ALTER TABLE "agent" ADD COLUMN "tool_search" VARCHAR(255) NOT NULL DEFAULT 'off'""")
    db.execute_sql("""ALTER TABLE "agent" ADD COLUMN "tool_search_above" INTEGER NOT NULL DEFAULT 60""")
