import subprocess
import sys

HEAVY = ("torch", "PIL", "numpy", "transformers", "diffusers", "tokenizers", "safetensors")
FOREIGN = ("aiogram", "celery", "sqlalchemy", "bot", "handlers", "storage", "sandbox", "training")


def test_what_a_bot_process_needs_of_the_engine_loads_no_library():
    modules = "engine.requests, engine.catalog, engine.outcomes, engine.errors"
    script = f"import sys, {modules}; print(*(name for name in {HEAVY + FOREIGN!r} if name in sys.modules))"

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert answer.stdout.split() == []
