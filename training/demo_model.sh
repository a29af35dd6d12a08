#!/usr/bin/env bash
# Builds the demo model from scratch: generates phantom cines, trains the network, compiles the
# packages and evaluates the model. After an interruption, run the same command again to continue.
#
#   training/demo_model.sh FOLDER
#
# The environment variable PYTHON specifies the Python interpreter (default: python3). The
# dependencies of tteview_train must be installed for this interpreter. The script needs 70 GB of
# disk space and some hours on two cores.
set -euo pipefail
out=$(realpath -m "${1:?usage: training/demo_model.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
export PYTHONPATH=training${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$out"

cargo build --release --package tteview-cli
tteview=${CARGO_TARGET_DIR:-target}/release/tteview

# The kinds of OTHER that the training shows. Four kinds are kept out, for the evaluation.
unseen=kidney,fluid,cw-doppler,dual
seen=air,gel,layers,liver,lung,vessel,off-plane,sweep,transoesophageal,upside-down,mirrored
seen+=,duplex-doppler,duplex-m-mode,m-mode,pw-doppler,biplane,tissue-doppler,rendering-3d,report
seen+=,test-pattern,blank
# The thresholds are fitted without tissue Doppler, most of which the network does not recognize.
fit=${seen/,tissue-doppler/}
views=PLAX,PLAX-RVIF,PLAX-RVOF,PLAX-ZAV,PLAX-ZMV,PSAX-AV,PSAX-PA,PSAX-MV,PSAX-PM,PSAX-AP,A4C,A4C-RV
views+=,A4C-LA,A5C,A2C,A3C,SC4C,SC-SAX,SC-IVC,SSN-AO

# The seeds are far apart, so that no heart is in two sets.
phantom() { # Arguments: name, scanner, first seed, number of hearts, seconds, split, other options.
    [ -e "$out/$1/manifest.csv" ] || "$tteview" phantom --dicom --scanner "$2" --seed "$3" \
        --count "$4" --seconds "$5" --split "$6" --out "$out/$1" "${@:7}"
}
views_of() { phantom "$1" "$2" "$3" "$4" "$5" "$6" --views "$views"; }
other_of() { phantom "$1" "$2" "$3" "$4" "$5" "$6" --views OTHER --other-kinds "$7"; }
views_of wild-1 wild 1000000 350 0.6 train
other_of other-1 wild 1200000 1300 0.6 train "$seen"
phantom broad-1 broad 1300000 200 0.6 train
phantom training-1 training 1400000 100 0.6 train
views_of val-wild wild 1500000 25 0.8 val
other_of val-other wild 1520000 80 0.8 val "$seen"
views_of wild-2 wild 1600000 350 0.6 train
other_of other-2 wild 1700000 1300 0.6 train "$seen"
views_of wild-long wild 2300000 100 1.45 train
other_of other-long wild 2400000 400 1.45 train "$seen"
phantom broad-long broad 2500000 60 1.45 train
phantom training-long training 2600000 60 1.45 train
views_of wild-3 wild 5000000 400 0.6 train
phantom training-3 training 5100000 160 0.6 train
phantom other-training-3 training 5200000 800 0.6 train --views OTHER
phantom broad-3 broad 5300000 160 0.6 train
phantom other-broad-3 broad 5350000 500 0.6 train --views OTHER
other_of other-3 wild 5400000 1500 0.6 train "$seen"
views_of wild-4 wild 5500000 300 0.6 train
views_of wild-long-2 wild 6300000 140 1.45 train
other_of other-long-2 wild 6400000 500 1.45 train "$seen"
phantom broad-long-2 broad 6500000 60 1.45 train
phantom training-long-2 training 6600000 60 1.45 train
phantom other-training-long-2 training 6650000 200 1.45 train --views OTHER
views_of unlike-fit unlike 2000000 20 1.2 test
other_of unlike-fit-other unlike 2010000 100 1.2 test "$fit"
views_of unlike-fit-2 unlike 2020000 30 1.2 test
other_of unlike-fit-other-2 unlike 2050000 250 1.2 test "$fit"
views_of unlike-test unlike 2100000 20 1.2 test
other_of unlike-test-other unlike 2110000 150 1.2 test "$seen,$unseen"
other_of unlike-test-other-2 unlike 2180000 200 1.2 test "$seen,$unseen"
other_of unseen-kinds wild 2120000 100 1.2 test "$unseen"
views_of wild-test wild 2200000 20 1.2 test
phantom test training 500000 40 2.1 test
phantom field field 700000 40 2.1 test
phantom broad-test broad 800000 20 2.1 test
phantom long training 900000 12 10 test
phantom longest training 950000 2 60 test

mix() { # Arguments: name of the manifest, names of the sets.
    local set mixed=$out/$1.csv
    head -1 "$out/$2/manifest.csv" > "$mixed"
    for set in "${@:2}"; do
        awk -F, -v OFS=, -v set="$set" \
            'NR > 1 { $1 = set "/" $1; $3 = set "-" $3; print }' "$out/$set/manifest.csv" >> "$mixed"
    done
}
mix short-1 wild-1 other-1 broad-1 training-1 val-wild val-other
mix short-2 wild-1 wild-2 other-1 other-2 broad-1 training-1 val-wild val-other
mix long wild-long other-long broad-long training-long val-wild val-other
mix short-3 wild-3 wild-4 training-3 other-training-3 broad-3 other-broad-3 other-3 val-wild \
    val-other
mix long-2 wild-long-2 other-long-2 broad-long-2 training-long-2 other-training-long-2 val-wild \
    val-other
mix long-other wild-long other-long broad-long training-long other-1 other-2
mix fit unlike-fit unlike-fit-2 unlike-fit-other unlike-fit-other-2
mix unlike unlike-test unlike-test-other unlike-test-other-2

# Short sequences show the network many cines in little time. Each later stage starts from the
# weights of the previous stage. The sequences of the stages 3 to 5 and 7 are longer than the
# look-back. The first five networks are grey. Stage 6 starts from the average of three of them and
# gives the network three channels, so that it sees colours.
train() { # Arguments: stage, cines, samples, batch, epochs, learning rate, augmentation, others.
    OMP_NUM_THREADS=1 "$python" -m tteview_train train --manifest "$out/$2.csv" \
        --labels models/views.json --out "$out/run-$1" --seed "$1" --width 24 --blocks 1,2,2,1 \
        --size 80 --lateral-reach 0 --samples "$3" --batch "$4" --epochs "$5" --lr "$6" \
        --augment-strength "$7" --label-smoothing 0.1 --ema 0.995 --balance none \
        --precision bf16 --threads 1 --workers 1 --save-every 200 --cache "$out/cache" "${@:8}"
}
common="A4C=1.3 A5C=1.3 A2C=1.3 A3C=1.3 PLAX=1.3 PSAX-AV=1.2 PSAX-PM=1.2"
train 1 short-1 8 64 12 3e-3 0.5 --dropout 0.3 --allow-short
train 2 short-2 8 64 8 3e-3 0.6 --dropout 0.3 --allow-short --emphasis $common OTHER=0.5 \
    --pretrained "$out/run-1/best.pt"
train 3 long 44 16 4 1.5e-3 0.8 --dropout 0.3 --emphasis $common OTHER=0.6 --seed 4 \
    --pretrained "$out/run-2/best.pt"
train 4 long 44 16 3 1.5e-3 1 --dropout 0.3 --emphasis $common OTHER=0.6 --seed 6 \
    --pretrained "$out/run-3/best.pt"
train 5 long-other 44 16 1 1.2e-3 0.7 --dropout 0.3 --emphasis $common OTHER=0.5 --seed 8 \
    --pretrained "$out/run-4/last.pt"

kit() { "$python" -m tteview_train "$@"; }
[ -e "$out/average/best.pt" ] ||
    kit average "$out/run-3/best.pt" "$out/run-4/last.pt" "$out/run-5/best.pt" --out "$out/average"
train 6 short-3 8 64 14 2.5e-3 0.8 --dropout 0.15 --seed 11 --in-channels 3 --allow-short \
    --emphasis $common OTHER=0.6 --pretrained "$out/average/best.pt"
train 7 long-2 44 16 5 1.2e-3 1 --dropout 0.15 --seed 12 --in-channels 3 \
    --emphasis $common OTHER=0.7 --pretrained "$out/run-6/best.pt"
[ -e "$out/final/best.pt" ] || kit reweight --run "$out/run-7" --out "$out/final" \
    --frequencies models/view-frequencies.csv --weight 0.5
kit export --run "$out/final" --cache "$out/cache" --out "$out/demo.onnx" --model-version demo-5 \
    --novelty mahalanobis --novelty-values 16 --novelty-shrinkage 0.3 --novelty-threshold fit \
    --novelty-share 0.02 --temperature fit --threshold fit --accuracy 0.98 --group-threshold fit \
    --group-accuracy 0.985 --fit-manifest "$out/fit.csv"
"$tteview" compile "$out/demo.onnx" --labels models/views.json --spec "$out/demo.spec.toml" \
    -o "$out/demo"

for set in test field broad-test wild-test unseen-kinds long longest; do
    "$tteview" eval --manifest "$out/$set/manifest.csv" --model "$out/demo.stream.onnx" \
        --out "$out/eval-$set"
done
"$tteview" eval --manifest "$out/unlike.csv" --model "$out/demo.stream.onnx" \
    --out "$out/eval-unlike"

# The model card states the accuracy, so it is added after the evaluation. Before this step, write
# the new figures to models/demo.card.json.
for mode in stream clip; do
    "$tteview" card "$out/demo.$mode.onnx" --set models/demo.card.json \
        --output "$out/demo.$mode.with-card.onnx"
done
