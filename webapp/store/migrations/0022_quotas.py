"""How much each agent may call, and what it has called in the last minute."""

from peewee import DateTimeField, ForeignKeyField, IntegerField, Model


def up(migrator, db):
    # Not by add_column: see 0007_tool_search.
    for column in ('calls_per_minute', 'calls_at_once', 'hold_seconds'):
        db.execute_sql(f'ALTER TABLE "agent" ADD COLUMN "{column}" INTEGER')

    class Agent(Model):
        class Meta:
            database = db
            table_name = 'agent'

    class Spent(Model):
        agent = ForeignKeyField(Agent, on_delete='CASCADE')
        at = DateTimeField()
        calls = IntegerField()
        class Meta:
            database = db
            table_name = 'spent'
    db.create_tables([Spent])
