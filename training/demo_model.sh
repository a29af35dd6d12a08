#!/usr/bin/env bash
# Makes the demo model from nothing: phantom cines, training, packages, evaluation. Goes on where it was stopped.
#
#   training/demo_model.sh FOLDER
#
# PYTHON names a Python with tteview_train's dependencies; python3 if not given.
set -euo pipefail
out=$(realpath -m "${1:?usage: training/demo_model.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
export PYTHONPATH=training${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"

cargo build --release --package tteview-cli
tteview=${CARGO_TARGET_DIR:-target}/release/tteview

# No heart is in two sets: seeds are far apart. Of `train` one heart in ten validates and one is not used.
phantom() { # name, scanner, first seed, hearts, seconds, further options
    [ -e "$out/$1/contact.png" ] ||
        "$tteview" phantom --scanner "$2" --seed "$3" --count "$4" --seconds "$5" --out "$out/$1" "${@:6}"
}
phantom train training 100000 260 1.7
phantom test training 500000 40 2.1 --split test
phantom field field 700000 40 2.1 --split test
phantom long training 900000 12 10 --split test
phantom longest training 950000 2 60 --split test

"$python" -m tteview_train train --manifest "$out/train/manifest.csv" --labels models/views.json \
    --blocks 1,1,1,1 --width 16 --samples 40 --epochs 24 --batch 16 --lr 3e-3 --precision bf16 --balance none \
    --seed 1 --workers 1 --save-every 50 --cache "$out/cache" --out "$out/run"

"$python" -m tteview_train export --run "$out/run" --out "$out/demo.onnx" --model-version demo-1
"$tteview" compile "$out/demo.onnx" --labels "$out/demo.labels.json" --spec "$out/demo.spec.toml" -o "$out/demo"

for set in test field long longest; do
    "$tteview" eval --manifest "$out/$set/manifest.csv" --model "$out/demo.stream.onnx" --out "$out/eval-$set"
done
