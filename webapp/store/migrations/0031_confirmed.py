"""When somebody last showed that it is still them. Not by add_column: see 0007_tool_search."""


def up(migrator, db):
    moment = db.field_types.get('DATETIME', 'DATETIME')
    db.execute_sql(f'ALTER TABLE "session" ADD COLUMN "confirmed_at" {moment}')
