"""Signing in with OAuth: who we are at a sign-in service, sign-ins under way, and what they gave."""

from peewee import (
    BlobField,
    BooleanField,
    CharField,
    DateTimeField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)


def up(migrator, db):
    class Integration(Model):
        class Meta:
            database = db
            table_name = 'integration'

    class Session(Model):
        class Meta:
            database = db
            table_name = 'session'

    class OAuthClient(Model):
        integration = ForeignKeyField(Integration, on_delete='CASCADE')
        kind = CharField()
        issuer = TextField()
        redirect_uri = TextField()
        client_id = TextField()
        auth_method = CharField(default='none')
        secret = BlobField(null=True)
        secret_expires_at = DateTimeField(null=True)
        scope = TextField(default='')
        created_at = DateTimeField()
        class Meta:
            database = db
            table_name = 'o_auth_client'
    db.create_tables([OAuthClient])

    class SignIn(Model):
        id = CharField(primary_key=True)
        integration = ForeignKeyField(Integration, on_delete='CASCADE')
        session = ForeignKeyField(Session, null=True, on_delete='SET NULL')
        issuer = TextField()
        redirect_uri = TextField()
        scope = TextField(default='')
        request = TextField()
        client = ForeignKeyField(OAuthClient, null=True, on_delete='SET NULL')
        verifier = BlobField(null=True)
        state_hash = CharField(null=True, unique=True)
        created_at = DateTimeField()
        expires_at = DateTimeField()
        ended = CharField(default='')
        problem = TextField(null=True)
        class Meta:
            database = db
            table_name = 'sign_in'
    db.create_tables([SignIn])

    class Grant(Model):
        integration = ForeignKeyField(Integration, unique=True, on_delete='CASCADE')
        client = ForeignKeyField(OAuthClient, null=True, on_delete='SET NULL')
        issuer = TextField()
        resource = TextField(default='')
        metadata = TextField()
        scope = TextField(default='')
        needed_scope = TextField(default='')
        tokens = BlobField()
        renewable = BooleanField(default=False)
        expires_at = DateTimeField(null=True)
        lifetime = IntegerField(null=True)
        refresh_expires_at = DateTimeField(null=True)
        granted_at = DateTimeField()
        renewed_at = DateTimeField()
        version = IntegerField(default=1)
        lease_by = CharField(default='')
        lease_until = DateTimeField()
        failures = IntegerField(default=0)
        retry_at = DateTimeField(null=True)
        problem = TextField(default='')
        class Meta:
            database = db
            table_name = 'grant'
    db.create_tables([Grant])
