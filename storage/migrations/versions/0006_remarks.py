"""what a person asked for by parameters, and what of it was granted otherwise, is shown as long as its job"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("remarks", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "remarks")
