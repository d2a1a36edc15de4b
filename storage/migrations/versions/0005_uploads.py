"""pictures that people send: where they came, in which album, with which words; and the last mask of any picture"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("picture", sa.Column("chat_id", sa.BigInteger(), nullable=True))
    op.add_column("picture", sa.Column("message_id", sa.BigInteger(), nullable=True))
    op.add_column("picture", sa.Column("album", sa.String(length=64), nullable=True))
    op.add_column("picture", sa.Column("caption", sa.Text(), nullable=True))
    op.add_column("picture", sa.Column("mask_id", sa.String(length=80), nullable=True))
    op.create_index(op.f("ix_picture_chat_id_message_id"), "picture", ["chat_id", "message_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_picture_chat_id_message_id"), "picture")
    for column in ("mask_id", "caption", "album", "message_id", "chat_id"):
        op.drop_column("picture", column)
