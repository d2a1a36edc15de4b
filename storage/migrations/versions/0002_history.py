"""the history: words to search in, and small copies"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 500


def upgrade() -> None:
    op.add_column("picture", sa.Column("words", sa.Text(), nullable=True))
    op.add_column("picture", sa.Column("thumbnail_id", sa.String(length=80), nullable=True))
    _fill_words()


def _fill_words() -> None:
    """Give older pictures the words of their prompts, some at a time."""
    picture = sa.table("picture", sa.column("id"), sa.column("job_id"), sa.column("words"))
    job = sa.table("job", sa.column("id"), sa.column("params"))
    connection, last = op.get_bind(), 0
    older = sa.select(picture.c.id, job.c.params).join(job, job.c.id == picture.c.job_id).order_by(picture.c.id).limit(_BATCH)
    write = sa.update(picture).where(picture.c.id == sa.bindparam("at")).values(words=sa.bindparam("said"))
    while rows := connection.execute(older.where(picture.c.id > last)).all():
        connection.execute(write, [{"at": number, "said": _words(params)} for number, params in rows])
        last = rows[-1][0]


def _words(params: str) -> str:
    """What `searchable` made of a prompt when this migration was written."""
    return str(json.loads(params).get("prompt", "")).casefold().replace("ё", "е")


def downgrade() -> None:
    op.drop_column("picture", "thumbnail_id")
    op.drop_column("picture", "words")
