#!/bin/sh
# Clients from their registries against a running server: how many of their calls it answers rightly.
#     sh benchmarks/serve/clients/run.sh FOLDER http://127.0.0.1:8000/v1 MODEL [KEY [FOLDER_OF_THE_MODEL]]
# FOLDER (outside the repository) gets a virtual environment and a folder of Node packages, about 1 GB. The folder of the
# model is for lm-eval, which wants its tokenizer and is left out without it. Exit code 0 if all calls went right.
set -u
folder=$1 base=$2 model=$3 key=${4:-x} files=${5:-}
here=$(cd "$(dirname "$0")" && pwd)
export NO_PROXY=127.0.0.1,localhost HF_HUB_OFFLINE=1

if ! [ -f "$folder/clients/installed" ]; then
    "${PYTHON:-python3}" -m venv "$folder/clients" &&
        "$folder/clients/bin/pip" install --quiet openai==3.57.0 litellm==1.110.2 "lm-eval[api]==0.4.13" transformers &&
        touch "$folder/clients/installed" || exit 2
fi
if ! [ -f "$folder/node/node_modules/.package-lock.json" ]; then
    mkdir -p "$folder/node" && (cd "$folder/node" && printf '{"private":true,"type":"module"}\n' >package.json &&
        npm install --no-audit --no-fund openai@6.49.0 ai@6.0.326 @ai-sdk/openai-compatible@2.0.92) || exit 2
fi

wrong=0
for calls in openai_valid openai_invalid litellm_calls; do
    "$folder/clients/bin/python" "$here/$calls.py" "$base" "$model" "$key" || wrong=1
done
cp "$here/node_calls.mjs" "$folder/node/node_calls.mjs"
node "$folder/node/node_calls.mjs" "$base" "$model" "$key" || wrong=1
if [ -n "$files" ]; then
    OPENAI_API_KEY=$key "$folder/clients/bin/python" "$here/lm_eval_calls.py" "$base" "$model" "$files" || wrong=1
fi
exit $wrong
