"""Which keys each worker has, so that none goes away that one still seals with. Not by add_column: see 0007_tool_search."""


def up(migrator, db):
    db.execute_sql("ALTER TABLE \"worker\" ADD COLUMN \"key_ids\" TEXT NOT NULL DEFAULT ''")
