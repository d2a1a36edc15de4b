import subprocess
import sys

HEAVY = ("torch", "PIL", "numpy", "transformers", "diffusers", "tokenizers", "safetensors")
FOREIGN = ("aiogram", "celery", "sqlalchemy", "bot", "handlers", "storage", "sandbox", "training")


def test_what_a_bot_process_needs_of_the_engine_loads_no_library():
    modules = "engine.requests, engine.catalog, engine.outcomes, engine.errors"
    script = f"import sys, {modules}; print(*(name for name in {HEAVY + FOREIGN!r} if name in sys.modules))"

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert answer.stdout.split() == []


def test_loading_a_family_that_draws_loads_no_library_but_torch():
    script = "import sys; from engine.engine import load; load('kandinsky-nano', ['flash', 'base']); print(*sys.modules)"

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    loaded = answer.stdout.split()
    assert "torch" in loaded
    assert [name for name in ("diffusers", "transformers", "scipy", "sympy", "torch._dynamo") if name in loaded] == []
