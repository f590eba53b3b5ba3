"""How far a change went, so that what was copied before it need not be read again as a whole."""

from peewee import BigIntegerField, Model, TextField


def up(migrator, db):
    class Extent(Model):
        generation = BigIntegerField(primary_key=True)
        tools = TextField()
        class Meta:
            database = db
            table_name = 'extent'
    db.create_tables([Extent])
