"""A person's zone and theme; figures counted ahead; sealed stretches of the log; indexes for its filters."""

from peewee import BigIntegerField, BlobField, CharField, DateTimeField, IntegerField, Model, PostgresqlDatabase


def up(migrator, db):
    # Not by add_column: for a NOT NULL column it copies the whole table, with everything that refers to it.
    db.execute_sql("""ALTER TABLE "user" ADD COLUMN "zone" VARCHAR(255) NOT NULL DEFAULT ''""")
    db.execute_sql("""ALTER TABLE "user" ADD COLUMN "theme" VARCHAR(255) NOT NULL DEFAULT ''""")

    class Tally(Model):
        start = DateTimeField()
        kind = CharField()
        outcome = CharField()
        count = IntegerField()
        first_id = BigIntegerField()
        last_id = BigIntegerField()
        class Meta:
            database = db
            table_name = 'tally'
            indexes = ((('start', 'kind', 'outcome'), True),)
    db.create_tables([Tally])

    class Pace(Model):
        day = DateTimeField()
        tool = CharField()
        took_ms = IntegerField()
        count = IntegerField()
        class Meta:
            database = db
            table_name = 'pace'
            indexes = ((('day', 'tool', 'took_ms'), True),)
    db.create_tables([Pace])

    class Segment(Model):
        first_id = BigIntegerField()
        last_id = BigIntegerField(unique=True)
        count = IntegerField()
        first_at = DateTimeField()
        last_at = DateTimeField()
        digest = BlobField()
        sealed_at = DateTimeField()
        mac = BlobField()
        class Meta:
            database = db
            table_name = 'segment'
    db.create_tables([Segment])

    # Partial: the rows of most calls are in none of them, and cost no more than before.
    db.execute_sql("""CREATE INDEX "entry_odd" ON "entry" ("outcome", "id") WHERE "outcome" <> 'ok'""")
    db.execute_sql("""CREATE INDEX "entry_approval" ON "entry" ("approval") WHERE "approval" <> ''""")
    db.execute_sql("""CREATE INDEX "entry_changes" ON "entry" ("id") WHERE "kind" = 'change'""")

    # A row of the log may go once it is sealed; a seal never changes and never goes.
    if isinstance(db, PostgresqlDatabase):
        db.execute_sql("""
            CREATE FUNCTION refuse_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF OLD.id > (SELECT COALESCE(MAX(last_id), 0) FROM segment) THEN
                    RAISE EXCEPTION 'the log is append-only';
                END IF;
                RETURN OLD;
            END $$""")
        db.execute_sql('DROP TRIGGER entry_is_not_removed ON entry')
        db.execute_sql("""CREATE TRIGGER entry_is_not_removed BEFORE DELETE ON entry
            FOR EACH ROW EXECUTE FUNCTION refuse_unsealed()""")
        for change in ("UPDATE", "DELETE", "TRUNCATE"):
            each = "STATEMENT" if change == "TRUNCATE" else "ROW"
            db.execute_sql(f"""CREATE TRIGGER segment_is_kept_from_{change.lower()} BEFORE {change} ON segment
                FOR EACH {each} EXECUTE FUNCTION refuse_change()""")
        return
    db.execute_sql('DROP TRIGGER entry_is_not_removed')
    db.execute_sql("""
        CREATE TRIGGER entry_is_not_removed BEFORE DELETE ON entry
        WHEN OLD.id > (SELECT COALESCE(MAX(last_id), 0) FROM segment)
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""")
    for change in ("UPDATE", "DELETE"):
        db.execute_sql(f"""
            CREATE TRIGGER segment_is_kept_from_{change.lower()} BEFORE {change} ON segment
            BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END""")
