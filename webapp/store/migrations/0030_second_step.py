"""A second step of signing in: authenticators, recovery codes, and sessions that still wait for it."""

from peewee import BigIntegerField, BlobField, CharField, DateTimeField, ForeignKeyField, Model


def up(migrator, db):
    class User(Model):
        class Meta:
            database = db
            table_name = 'user'

    class Authenticator(Model):
        user = ForeignKeyField(User, unique=True, on_delete='CASCADE')
        secret = BlobField()
        step = BigIntegerField()
        on_since = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'authenticator'

    class RecoveryCode(Model):
        user = ForeignKeyField(User, on_delete='CASCADE')
        code_hash = CharField(unique=True)
        class Meta:
            database = db
            table_name = 'recovery_code'

    class HalfSession(Model):
        token_hash = CharField(unique=True)
        user = ForeignKeyField(User, on_delete='CASCADE')
        created_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'half_session'
    db.create_tables([Authenticator, RecoveryCode, HalfSession])
