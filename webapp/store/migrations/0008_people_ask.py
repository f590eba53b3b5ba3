"""A person, too, can ask for a call that somebody else approves. Depends on 0004_approvals."""


def up(migrator, db):
    db.execute_sql('ALTER TABLE "approval" ADD COLUMN "asked_by_id" INTEGER'
                   ' REFERENCES "user" ("id") ON DELETE SET NULL')
