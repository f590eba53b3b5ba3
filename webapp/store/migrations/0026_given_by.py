"""Whose sign-in or token a server is used with, as far as the log still tells. Not by add_column: see 0007."""


def up(migrator, db):
    db.execute_sql('ALTER TABLE "connection" ADD COLUMN "given_by_id" INTEGER'
                   ' REFERENCES "user" ("id") ON DELETE SET NULL')
    db.execute_sql(
        'UPDATE "connection" SET "given_by_id" = ('
        ' SELECT "user"."id" FROM "entry" JOIN "integration" ON "integration"."name" = "entry"."integration"'
        ' LEFT JOIN "user" ON "user"."email" = "entry"."actor" AND "entry"."actor_kind" = \'user\''
        ' WHERE "integration"."id" = "connection"."integration_id"'
        ' AND "entry"."action" IN (\'connection.saved\', \'connection.replaced\')'
        ' ORDER BY "entry"."id" DESC LIMIT 1)'
    )
