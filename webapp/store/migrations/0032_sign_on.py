"""Signing in at a provider: who is whom there, and the ways to it that are under way."""

from peewee import BlobField, CharField, DateTimeField, ForeignKeyField, Model, TextField


def up(migrator, db):
    class User(Model):
        class Meta:
            database = db
            table_name = 'user'

    class Session(Model):
        class Meta:
            database = db
            table_name = 'session'

    class LinkedAccount(Model):
        user = ForeignKeyField(User, unique=True, on_delete='CASCADE')
        issuer = CharField()
        subject = CharField()
        called = CharField()
        linked_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'linked_account'
            indexes = ((('issuer', 'subject'), True),)

    class SignOn(Model):
        id = CharField(primary_key=True)
        provider = CharField()
        purpose = CharField()
        browser_hash = CharField()
        session = ForeignKeyField(Session, null=True, on_delete='SET NULL')
        state_hash = CharField(unique=True)
        secrets = BlobField(null=True)
        request = TextField()
        goes_to = TextField()
        created_at = DateTimeField()
        expires_at = DateTimeField()
        ended = CharField()
        problem = TextField(null=True)
        class Meta:
            database = db
            table_name = 'sign_on'
    db.create_tables([LinkedAccount, SignOn])
