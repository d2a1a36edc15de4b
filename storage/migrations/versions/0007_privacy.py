"""being forgotten with a receipt, reports about pictures; what is one person's is found without looking through everybody's"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_notice_user_id"), "notice", ["user_id"])
    op.create_index(op.f("ix_notice_job_id"), "notice", ["job_id"])
    op.create_table(
        "erasure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=16), nullable=False),
        sa.Column("bot_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("stopped", sa.Integer(), nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("notices", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.Float(53), nullable=False),
        sa.Column("due_at", sa.Float(53), nullable=False),
        sa.Column("done_at", sa.Float(53), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_erasure_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("public_id", name=op.f("uq_erasure_public_id")),
        sa.UniqueConstraint("user_id", name=op.f("uq_erasure_user_id")),
    )
    op.create_index(op.f("ix_erasure_done_at_due_at"), "erasure", ["done_at", "due_at"])
    op.create_table(
        "erased_file",
        sa.Column("media_id", sa.String(length=80), nullable=False),
        sa.Column("erasure_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasure.id"], name=op.f("fk_erased_file_erasure_id")),
        sa.PrimaryKeyConstraint("media_id", name=op.f("pk_erased_file")),
    )
    op.create_index(op.f("ix_erased_file_erasure_id"), "erased_file", ["erasure_id"])
    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("picture", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_report_user_id")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_report_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("job_id", "picture", "user_id", name=op.f("uq_report_job_id_picture_user_id")),
    )
    op.create_index(op.f("ix_report_user_id"), "report", ["user_id"])
    op.create_index(op.f("ix_report_at"), "report", ["at"])


def downgrade() -> None:
    op.drop_table("report")
    op.drop_table("erased_file")
    op.drop_table("erasure")
    op.drop_index(op.f("ix_notice_job_id"), "notice")
    op.drop_index(op.f("ix_notice_user_id"), "notice")
