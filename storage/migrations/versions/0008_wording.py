"""how a prompt came about: a person's own words, their translation, and what was added to them"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("wording", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "wording")
