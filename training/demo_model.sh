#!/usr/bin/env bash
# Builds the demo model from scratch: generates phantom cines, trains the network, compiles the
# packages and evaluates the model. After an interruption, run the same command again to continue.
#
#   training/demo_model.sh FOLDER
#
# The environment variable PYTHON specifies the Python interpreter (default: python3). The
# dependencies of tteview_train must be installed for this interpreter. The script needs 70 GB of
# disk space and takes about four hours on two cores.
set -euo pipefail
out=$(realpath -m "${1:?usage: training/demo_model.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
export PYTHONPATH=training${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"

cargo build --release --package tteview-cli
tteview=${CARGO_TARGET_DIR:-target}/release/tteview

# The seeds are far apart, so that no heart is in two sets. In each training set, one heart in ten
# is used for validation, and another one in ten is not used.
phantom() { # Arguments: name, scanner, first seed, number of hearts, seconds, other options.
    [ -e "$out/$1/contact.png" ] ||
        "$tteview" phantom --scanner "$2" --seed "$3" --count "$4" --seconds "$5" --out "$out/$1" "${@:6}"
}
phantom train training 100000 600 1.7
phantom broad broad 300000 600 1.7
phantom train-2 training 110000 600 1.7
phantom broad-2 broad 310000 600 1.7
phantom broad-3 broad 410000 600 1.7
phantom test training 500000 40 2.1 --split test
phantom field field 700000 40 2.1 --split test
phantom broad-test broad 800000 20 2.1 --split test
phantom long training 900000 12 10 --split test
phantom longest training 950000 2 60 --split test

mix() { # Arguments: names of the sets.
    head -1 "$out/$1/manifest.csv"
    for set in "$@"; do
        awk -F, -v OFS=, -v set="$set/" 'NR > 1 { $1 = set $1; print }' "$out/$set/manifest.csv"
    done
}
mix train broad > "$out/mixed-1.csv"
mix train-2 broad-2 > "$out/mixed-2.csv"
mix train-2 broad-3 > "$out/mixed-3.csv"

# The first stage starts from random weights. Each later stage uses a different mix of sets and
# starts from the weights of the previous stage.
train() { # Arguments: stage, number of processes, batch size per process, other options.
    OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc-per-node "$2" -m tteview_train train \
        --manifest "$out/mixed-$1.csv" --labels models/views.json --out "$out/run-$1" --seed "$1" --batch "$3" \
        --blocks 1,1,1,1 --width 16 --lateral-reach 2 --samples 40 --balance none --precision bf16 --threads 1 --workers 1 --save-every 100 \
        --cache "$out/cache" "${@:4}"
}
train 1 1 16 --epochs 7 --lr 3e-3
train 2 2 8 --epochs 9 --lr 2e-3 --stop-after 3 --pretrained "$out/run-1/last.pt"
train 3 2 8 --epochs 5 --lr 2e-3 --pretrained "$out/run-2/best.pt"

"$python" -m tteview_train export --run "$out/run-3" --cache "$out/cache" --out "$out/demo.onnx" --model-version demo-3 \
    --temperature val --threshold 0.5 --group-threshold 0.8
"$tteview" compile "$out/demo.onnx" --labels models/views.json --spec "$out/demo.spec.toml" -o "$out/demo"

for set in test field broad-test long longest; do
    "$tteview" eval --manifest "$out/$set/manifest.csv" --model "$out/demo.stream.onnx" --out "$out/eval-$set"
done

# The model card states the accuracy, so it is added after the evaluation. Before this step, write
# the new figures to models/demo.card.json.
for mode in stream clip; do
    "$tteview" card "$out/demo.$mode.onnx" --set models/demo.card.json --output "$out/demo.$mode.with-card.onnx"
done
