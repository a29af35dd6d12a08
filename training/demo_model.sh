#!/usr/bin/env bash
# Makes the demo model from nothing: phantom cines, training, packages, evaluation. Goes on where it was stopped.
#
#   training/demo_model.sh FOLDER
#
# PYTHON names a Python with tteview_train's dependencies; python3 if not given. 35 GB, and some two hours of two cores.
set -euo pipefail
out=$(realpath -m "${1:?usage: training/demo_model.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
export PYTHONPATH=training${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"

cargo build --release --package tteview-cli
tteview=${CARGO_TARGET_DIR:-target}/release/tteview

# No heart is in two sets: seeds are far apart. Of `train` and `broad` one heart in ten validates and one is not used.
phantom() { # name, scanner, first seed, hearts, seconds, further options
    [ -e "$out/$1/contact.png" ] ||
        "$tteview" phantom --scanner "$2" --seed "$3" --count "$4" --seconds "$5" --out "$out/$1" "${@:6}"
}
phantom train training 100000 600 1.7
phantom broad broad 300000 600 1.7
phantom test training 500000 40 2.1 --split test
phantom field field 700000 40 2.1 --split test
phantom broad-test broad 800000 20 2.1 --split test
phantom long training 900000 12 10 --split test
phantom longest training 950000 2 60 --split test

{
    head -1 "$out/train/manifest.csv"
    for set in train broad; do
        awk -F, -v OFS=, -v set="$set/" 'NR > 1 { $1 = set $1; print }' "$out/$set/manifest.csv"
    done
} > "$out/mixed.csv"
"$python" -m tteview_train train --manifest "$out/mixed.csv" --labels models/views.json --out "$out/run" \
    --blocks 1,1,1,1 --width 16 --samples 40 --batch 16 --epochs 7 --lr 3e-3 --balance none --seed 1 \
    --precision bf16 --threads 1 --workers 1 --save-every 100 --cache "$out/cache"

"$python" -m tteview_train export --run "$out/run" --cache "$out/cache" --out "$out/demo.onnx" --model-version demo-2 \
    --temperature val --threshold 0.5
"$tteview" compile "$out/demo.onnx" --labels models/views.json --spec "$out/demo.spec.toml" -o "$out/demo"

for set in test field broad-test long longest; do
    "$tteview" eval --manifest "$out/$set/manifest.csv" --model "$out/demo.stream.onnx" --out "$out/eval-$set"
done
