"""pictures have names that people can type, and are known again when they are sent"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BATCH = 500
_ALPHABET = "0123456789ABCDEFGHJMNPQRSTVWXYZ"
_SHORTEST, _LONGEST = 4, 12


def upgrade() -> None:
    op.add_column("picture", sa.Column("name", sa.String(length=12), nullable=True))
    _fill_names()
    op.create_index(op.f("ix_picture_user_id_name"), "picture", ["user_id", "name"])
    op.create_table(
        "likeness",
        sa.Column("picture_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["picture_id"], ["picture.id"], name=op.f("fk_likeness_picture_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_likeness_user_id")),
        sa.PrimaryKeyConstraint("picture_id", name=op.f("pk_likeness")),
    )
    op.create_index(op.f("ix_likeness_user_id_drawn"), "likeness", ["user_id", "drawn"])


def _fill_names() -> None:
    """Give older pictures names, a person after the other and some at a time; one person's all differ."""
    picture = sa.table("picture", sa.column("id"), sa.column("user_id"), sa.column("public_id"), sa.column("name"))
    connection = op.get_bind()
    older = sa.select(picture.c.id, picture.c.public_id).order_by(picture.c.id).limit(_BATCH)
    write = sa.update(picture).where(picture.c.id == sa.bindparam("at")).values(name=sa.bindparam("named"))
    for (user_id,) in connection.execute(sa.select(picture.c.user_id).distinct()).all():
        taken: set[str] = set()
        last = 0
        while rows := connection.execute(older.where(picture.c.user_id == user_id, picture.c.id > last)).all():
            named = []
            for number, public_id in rows:
                named.append({"at": number, "named": _name(public_id, taken)})
                taken.add(str(named[-1]["named"]))
            connection.execute(write, named)
            last = rows[-1][0]


def _name(public_id: str, taken: set[str]) -> str:
    """What `free_name` made of a public id when this migration was written."""
    number, whole = int.from_bytes(hashlib.sha256(public_id.encode()).digest()), ""
    for _ in range(_LONGEST):
        number, place = divmod(number, len(_ALPHABET))
        whole += _ALPHABET[place]
    return next((whole[:length] for length in range(_SHORTEST, _LONGEST) if whole[:length] not in taken), whole)


def downgrade() -> None:
    op.drop_table("likeness")
    op.drop_index(op.f("ix_picture_user_id_name"), "picture")
    op.drop_column("picture", "name")
