"""who names a picture is found at once: without these, deleting one looked through everybody's"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_picture_parent_id"), "picture", ["parent_id"])
    op.create_index(op.f("ix_notice_picture_id"), "notice", ["picture_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_notice_picture_id"), "notice")
    op.drop_index(op.f("ix_picture_parent_id"), "picture")
