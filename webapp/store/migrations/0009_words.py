"""What agents say beside their calls, for whichever worker it concerns; and the level of logs each wants to see."""

from peewee import BigIntegerField, BlobField, CharField, DateTimeField, ForeignKeyField, Model


def up(migrator, db):
    class Agent(Model):
        class Meta:
            database = db
            table_name = 'agent'

    class Word(Model):
        number = BigIntegerField(primary_key=True)
        agent = ForeignKeyField(Agent, on_delete='CASCADE')
        session = CharField(default='')
        kind = CharField()
        about = CharField()
        said = BlobField(null=True)
        at = DateTimeField()
        class Meta:
            database = db
            table_name = 'word'
    db.create_tables([Word])

    class LogLevel(Model):
        agent = ForeignKeyField(Agent, index=False, on_delete='CASCADE')
        session = CharField(default='')
        level = CharField()
        at = DateTimeField()
        class Meta:
            database = db
            table_name = 'log_level'
            indexes = ((('agent', 'session'), True),)
    db.create_tables([LogLevel])
