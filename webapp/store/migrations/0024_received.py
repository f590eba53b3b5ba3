"""A digest of each tool as its server listed it: what changes nothing for a reviewer is passed on all the same."""


def up(migrator, db):
    # Empty: the next sync of each server finds every tool received anew, and none of them changed.
    db.execute_sql('ALTER TABLE "tool" ADD COLUMN "received_digest" VARCHAR(255) NOT NULL DEFAULT \'\'')
