#!/usr/bin/env bash
# The reports under docs/reports, made anew: ./scripts/reports.sh
#
# Each is one command of the release binary with its table as printed; every figure in the text is
# read from that table. The same binary gives the same bytes. About three minutes on two cores.
# PRESCALE_BIN names another binary than the one that is built here.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of on-demand H100s in 2026, rented by the hour: an assumption, said in each report.
readonly PRICE=2.49

readonly NAMES=(static-peak keda-queue keda-queue-cron prescale-reactive oracle)

if [[ -z "${PRESCALE_BIN:-}" ]]; then
    cargo build --release --locked --bin prescale
fi
readonly BIN="${PRESCALE_BIN:-${CARGO_TARGET_DIR:-target}/release/prescale}"

# Of the report at hand: the command as shown, the table as printed, and by policy what it says.
command=""
table=""
declare -A slo hours cost p99 failed

# run FLAGS...: replays and reads the table.
run() {
    local args=(backtest "$@" --gpu-price "$PRICE") name
    for name in "${NAMES[@]}"; do args+=(--policy "$name"); done
    command="prescale ${args[*]}"
    echo "$command" >&2
    table=$("$BIN" "${args[@]}" 2>/dev/null)
    slo=() hours=() cost=() p99=() failed=()
    local row
    for name in "${NAMES[@]}"; do
        # A star marks the best; no other cell holds one.
        row=$(awk -v name="$name" '$1 == name { sub(/ \* /, "   "); if ($2 ~ /^>?[0-9]/) { print; exit } }' <<<"$table")
        read -r _ slo["$name"] hours["$name"] cost["$name"] _ <<<"$row"
        read -r p99["$name"] failed["$name"] <<<"$(awk '{ print $(NF - 1), $NF }' <<<"$row")"
        if [[ ! "${cost[$name]}" =~ ^[0-9] || ! "${failed[$name]}" =~ ^[0-9] ]]; then
            echo "no figures of $name in the table:" >&2
            echo "$table" >&2
            exit 1
        fi
    done
}

# money NUMBER: whole dollars, in thousands.
money() {
    awk -v money="${1//,/}" 'BEGIN {
        text = sprintf("%.0f", money)
        while (match(text, /^[0-9]+[0-9][0-9][0-9](,|$)/)) {
            end = index(text, ",") ? index(text, ",") : length(text) + 1
            text = substr(text, 1, end - 4) "," substr(text, end - 3)
        }
        print "$" text
    }'
}

# compared A B: "12 % less than", of the money that they cost.
compared() {
    awk -v a="${cost[$1]//,/}" -v b="${cost[$2]//,/}" 'BEGIN {
        if (b == 0) { print "not comparable with"; exit }
        share = 100 * (1 - a / b)
        if (share > -0.5 && share < 0.5) { print "as much as"; exit }
        printf "%.0f %% %s than\n", (share < 0 ? -share : share), (share < 0 ? "more" : "less")
    }'
}

# year NAME DAYS: what it would cost in a year of such days.
year() {
    money "$(awk -v cost="${cost[$1]//,/}" -v days="$2" 'BEGIN { print cost / days * 365 }')"
}

# rows DAYS: a table of what matters.
rows() {
    local name
    echo "| | GPU-hours | cost | against always-on | a year of such days | met both objectives | p99 to first token, s | failed |"
    echo "|---|---|---|---|---|---|---|---|"
    for name in "${NAMES[@]}"; do
        echo "| \`$name\` | ${hours[$name]} | $(money "${cost[$name]}") | $(against "$name") | $(year "$name" "$1") | ${slo[$name]} % | ${p99[$name]} | ${failed[$name]} |"
    done
}

# against NAME: the cost next to always-on, in percent.
against() {
    if [[ "$1" == static-peak ]]; then
        echo "-"
        return
    fi
    awk -v a="${cost[$1]//,/}" -v b="${cost[static-peak]//,/}" 'BEGIN {
        printf "%+.0f %%\n", 100 * (a / b - 1)
    }'
}

# sentence NAME WHAT: cost and attainment of a policy in words.
sentence() {
    echo "$2 costs $(money "${cost[$1]}"), $(compared "$1" static-peak) always-on, and ${slo[$1]} % of the requests meet their objectives."
}

# prose TEXT: one paragraph.
prose() { fmt -w 100 <<<"$1" | sed 's/  */ /g'; }

# page TITLE QUESTION DAYS MEANS: writes a report to standard output.
page() {
    local title=$1 question=$2 days=$3 means=$4
    cat <<END
# $title

$(prose "$question")

Made by \`scripts/reports.sh\`; each figure is from the table below. The world is simulated
([what is modelled and what is not](../backtest.md#the-world)), the traffic made up by a generator: it
ranks policies and shows orders of magnitude, and is no promise of a bill. \$$PRICE per H100-hour is an
assumption; money is in proportion to it.

$(rows "$days")

\`static-peak\` is always-on: replicas for the busiest five minutes, all the time. \`oracle\` knows what
will arrive; it is the bound, not a choice. [What each policy is](../policies.md).

## What it means

$(prose "$means")

## What is left out

- Others' work on the GPUs that are given back: the saving is money only where they are not paid for
  when idle, or somebody else uses them.
- Cold starts are 100 s in the mean, as with a node, image and weights at hand. A new node and a large
  image take minutes: \`--cold-start cold\`.
- The hours of \`keda-queue-cron\` are set from the very days that are replayed, and so is the size of
  \`static-peak\`. Both flatter them: nobody knows the days to come.
- Every policy runs at what its source ships, on one profile. Traffic of yours has another rhythm:
  [replay it](../backtest.md#on-your-own-prometheus).

## The command, and what it prints

\`\`\`sh
$(fold_command "$command")
\`\`\`

\`\`\`text
$(sed 's/[[:space:]]*$//' <<<"$table")
\`\`\`
END
}

# fold_command TEXT: one flag with its value a line, those of the policies together.
fold_command() {
    sed -e 's/ --policy/\n--policy/; s/ --gpu-price/\n--gpu-price/' <<<"$1" |
        sed -e '2,$s/^/    /' -e '$!s/$/ \\/'
}

dev_cluster() {
    run --generate dev-cluster --days 7 --min-replicas 0 --seeds 3
    local means
    means=$(
        sentence prescale-reactive "\`prescale-reactive\`, which sleeps whenever nobody has asked for some minutes,"
        echo "Whoever comes first after a pause waits for a cold start of 100 s, and misses the objective."
        sentence keda-queue-cron "\`keda-queue-cron\` with the right office hours"
        echo "It holds its replicas in office hours whether anybody asks or not, and needs somebody who keeps the hours right: a holiday is paid for."
        sentence keda-queue "\`keda-queue\`, without hours,"
        echo "The bound is $(money "${cost[oracle]}") (\`oracle\`)."
    )
    page "A development cluster used 8 hours a day" \
        "What does a model cost that a team of eight uses from 9 to 17 h on weekdays, about one replica's worth, and nobody uses at night and on weekends?" \
        7 "$means"
}

variable_production() {
    run --generate variable-production --days 3 --min-replicas 2 --max-replicas 8 --seeds 3
    local means
    means=$(
        sentence prescale-reactive "\`prescale-reactive\`, which follows the day between 2 and 8 replicas,"
        sentence keda-queue "\`keda-queue\`"
        echo "It adds replicas once requests wait and takes them away five minutes after none wait, whatever still runs."
        sentence keda-queue-cron "With the busy hours held by a cron trigger (\`keda-queue-cron\`) it"
        echo "The bound for these days is $(money "${cost[oracle]}") (\`oracle\`)."
    )
    page "Production traffic that varies between 2 and 8 replicas" \
        "What does a service cost whose traffic needs 2 replicas at night and 8 in the afternoon, every day?" \
        3 "$means"
}

nightly_batch() {
    run --generate nightly-batch --days 7 --min-replicas 0 --max-replicas 4 --ttft 10m --seeds 3
    local means
    means=$(
        echo "Nobody waits for the first token of a batch: the objective is that each request begins within 10 minutes and then runs at its pace, and that none is lost while there is no replica."
        sentence prescale-reactive "\`prescale-reactive\` wakes when the first request comes and sleeps when the work is done; it"
        sentence keda-queue "\`keda-queue\`"
        sentence keda-queue-cron "\`keda-queue-cron\`, which knows the hour,"
        echo "Always-on costs $(money "${cost[static-peak]}"); the bound is $(money "${cost[oracle]}") (\`oracle\`)."
    )
    page "A nightly batch on 0 to 4 replicas" \
        "What does a batch cost that needs up to four replicas for three hours every night, and none for the rest of the day?" \
        7 "$means"
}

mkdir -p docs/reports
for report in dev_cluster variable_production nightly_batch; do
    # Written whole or not at all.
    "$report" >docs/reports/new
    mv docs/reports/new "docs/reports/${report//_/-}.md"
done
