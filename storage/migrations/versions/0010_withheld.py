"""what was withheld of a job, appeals against it; rough pictures of what is being drawn"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("withheld", sa.Text(), nullable=True))
    op.add_column("job", sa.Column("previewed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "appeal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_appeal_user_id")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_appeal_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeal")),
        sa.UniqueConstraint("job_id", name=op.f("uq_appeal_job_id")),
    )
    op.create_index(op.f("ix_appeal_user_id"), "appeal", ["user_id"])
    op.create_table(
        "preview",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_preview_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_preview")),
    )


def downgrade() -> None:
    op.drop_table("preview")
    op.drop_table("appeal")
    op.drop_column("job", "previewed")
    op.drop_column("job", "withheld")
