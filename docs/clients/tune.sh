#!/bin/sh
# Minimise (x - 0.3)^2 with curl and awk: sh tune.sh [URL] [NAME]
set -eu
url=${1:-http://127.0.0.1:8765} name=${2:-from-shell}
post() { curl -sS --fail-with-body -H 'Content-Type: application/json' ${HPTBENCH_TOKEN:+-H "Authorization: Bearer $HPTBENCH_TOKEN"} -d "$2" "$url/tuners$1"; }
field() { sed -n "s/.*\"$1\": \([-+.0-9e]*\).*/\1/p"; }

post "" "{\"name\": \"$name\", \"method\": \"tpe\", \"budget\": 15, \"space\": {\"x\": {\"type\": \"float\", \"lower\": 0, \"upper\": 1}}}" > /dev/null
while job=$(post "/$name/ask" '{"n": 1}') && id=$(echo "$job" | field id) && [ -n "$id" ]; do
    x=$(echo "$job" | field x)
    value=$(awk -v x="$x" 'BEGIN {printf "%.17g", (x - 0.3) ^ 2}') # here the training is
    post "/$name/tell" "{\"job\": $id, \"value\": $value}"
done
