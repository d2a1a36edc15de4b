"""What importing and loading cost in a fresh process: the engine against diffusers' pipeline, over nano's weights.

`python -m benchmarks.engine_start`. CPU seconds and the peak of resident memory, least of three in turn; row C10 of
`performance.md` section 5.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

BARS = {"CPU seconds": 2.0, "MiB of memory": 2.0}  # theirs over ours
_MIB = 2**10  # the kernel counts in KiB
_HERE = Path(__file__).resolve().parents[1]


def load_ours() -> object:
    """As a worker does."""
    from engine.engine import load

    return load("kandinsky-nano", ["flash", "base"])


def load_theirs() -> object:
    """As diffusers' users do, from the same files; nano's folder has no index of a pipeline, so its parts are named."""
    import diffusers
    from transformers import PreTrainedTokenizerFast, T5EncoderModel

    from engine import catalog

    folder = catalog.weights_folder("kandinsky-nano")
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder")
    unet = diffusers.Kandinsky3UNet.from_pretrained(folder / "unet", encoder_hid_dim=encoder.config.d_model)
    movq = diffusers.VQModel.from_pretrained(folder / "movq")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer" / "tokenizer.json"))
    return diffusers.Kandinsky3Pipeline(tokenizer, encoder, unet, diffusers.DDPMScheduler(), movq)


def spent(whose: str) -> tuple[float, float]:
    """CPU seconds and MiB of a process that loads and ends."""
    command = [sys.executable, "-m", "benchmarks.engine_start", whose]
    done = subprocess.run(command, cwd=_HERE, capture_output=True, text=True, check=True)  # noqa: S603
    seconds, mebibytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, mebibytes


def peak_mib() -> float:
    """Most memory that this process ever held; `ru_maxrss` would count its parent's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / _MIB


def measured(rounds: int = 3) -> dict[str, tuple[float, float]]:
    """Ours and theirs, by what was measured."""
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        for whose, spendings in found.items():
            spendings.append(spent(whose))
    least = {whose: [min(each) for each in zip(*spendings, strict=True)] for whose, spendings in found.items()}
    return {what: (least["ours"][index], least["theirs"][index]) for index, what in enumerate(BARS)}


def main() -> None:
    """Print the table; as a child, load and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whose", nargs="?", choices=("ours", "theirs"), help="what a child loads")
    whose = parser.parse_args().whose if __name__ == "__main__" else None
    if whose:
        _ = load_ours() if whose == "ours" else load_theirs()
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps([used.ru_utime + used.ru_stime, peak_mib()]))
        return
    print(f"\n{'C10 a fresh process loads nano':<48}{'ours':>10}{'diffusers':>14}{'ratio':>8}{'bar':>8}")
    for what, (ours, theirs) in measured().items():
        print(f"{what:<48}{ours:>10.1f}{theirs:>14.1f}{theirs / ours:>8.2f}{BARS[what]:>8}")


if __name__ == "__main__":
    main()
