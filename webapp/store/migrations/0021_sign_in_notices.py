"""Lost sign-ins are told by notices too. Depends on 0004_approvals."""

from peewee import CharField, DateTimeField, ForeignKeyField, Model


def up(migrator, db):
    class NoticeChannel(Model):
        kind = CharField(unique=True)
        class Meta:
            database = db
            table_name = 'notice_channel'

    class Integration(Model):
        name = CharField(unique=True)
        class Meta:
            database = db
            table_name = 'integration'

    class SignInNotice(Model):
        channel = ForeignKeyField(NoticeChannel, on_delete='CASCADE')
        integration = ForeignKeyField(Integration, index=False, on_delete='CASCADE')
        claimed_at = DateTimeField()
        sent_at = DateTimeField(null=True)
        class Meta:
            database = db
            table_name = 'sign_in_notice'
            indexes = ((('integration', 'channel'), True),)
    db.create_tables([SignInNotice])
