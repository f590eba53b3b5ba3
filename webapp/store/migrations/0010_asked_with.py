"""What belongs to a call that waits besides its arguments: its `_meta`, and answers to what a server asked back."""

from peewee import PostgresqlDatabase


def up(migrator, db):
    # Not by add_column: see 0004_approvals.
    blob = "BYTEA" if isinstance(db, PostgresqlDatabase) else "BLOB"
    db.execute_sql(f'ALTER TABLE "approval" ADD COLUMN "asked_with" {blob}')
