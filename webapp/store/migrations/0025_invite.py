"""Invitations of people, by a link that works once."""

from peewee import CharField, DateTimeField, ForeignKeyField, Model


def up(migrator, db):
    class User(Model):
        class Meta:
            database = db
            table_name = 'user'

    class Invite(Model):
        token_hash = CharField(unique=True)
        email = CharField(unique=True)
        role = CharField()
        invited_by = ForeignKeyField(User, on_delete='CASCADE')
        created_at = DateTimeField()
        expires_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'invite'
    db.create_tables([Invite])
