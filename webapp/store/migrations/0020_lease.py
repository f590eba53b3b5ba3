"""The lease on a sign-in has no end any more: clocks jump."""


def up(migrator, db):
    db.execute_sql('UPDATE "grant" SET "lease_by" = \'\'')
    db.execute_sql('ALTER TABLE "grant" DROP COLUMN "lease_until"')
