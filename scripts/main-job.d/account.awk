#  account.awk - compare what came out of the main job with what went in
#
#      awk -v took=MS -f account.awk half-* consumer-*.json producer-*.json
#
#  half-*: the lines that were to be sent.  consumer-*: what each life of a
#  consumer printed (tern recv --json).  producer-*: what each producer said at
#  its end (tern send --json).  Any POSIX awk.  Exit status 1 on loss, on a
#  line printed twice by one process, or on a line that nobody sent.
#
#  SPDX-License-Identifier: MPL-2.0

function commas (number,    out) {
    number = sprintf ("%d", number)
    while (length (number) > 3) {
        out = "," substr (number, length (number) - 2) out
        number = substr (number, 1, length (number) - 3)
    }
    return number out
}

#  Value of a number in a line of JSON.
function number_of (key,    at, rest) {
    at = index ($0, "\"" key "\":")
    if (!at) {
        return 0
    }
    rest = substr ($0, at + length (key) + 3)
    return rest + 0
}

#  Value of a text, which must hold no quote.
function text_of (key,    at, rest) {
    at = index ($0, "\"" key "\":\"")
    if (!at) {
        return ""
    }
    rest = substr ($0, at + length (key) + 4)
    return substr (rest, 1, index (rest, "\"") - 1)
}

#  The body is the last member.
function body_of (    at, body) {
    at = index ($0, "\"body\":\"")
    body = substr ($0, at + 8, length ($0) - at - 9)
    if (index (body, "\\")) {
        gsub (/\\"/, "\"", body)
        gsub (/\\\\/, "\\", body)
    }
    return body
}

function row (name, count, words) {
    printf "  %-24s %10s   %s\n", name, commas(count), words
}

function ms (microseconds) {
    return sprintf ("%.1f ms", microseconds / 1000)
}

FILENAME ~ /half-[0-9]+$/ {
    sent[$0] = 1
    lines_in++
    next
}

FILENAME ~ /producer-[0-9]+\.json$/ {
    life[++lives] = text_of("peer")
    seconds = number_of("seconds")
    p[lives] = number_of("produced") / seconds
    r[lives] = number_of("accepted") / seconds
    q[lives] = number_of("transmitted") / seconds
    c[lives] = number_of("consumed") / seconds
    p50[lives] = number_of("p50")
    p99[lives] = number_of("p99")
    max[lives] = number_of("max")
    next
}

#  Killed in the middle of a line: that message was not settled.
!/}$/ {
    next
}

{
    id = text_of("id")
    body = body_of()
    if (!(body in sent)) {
        foreign++
    }
    if ((FILENAME, id) in by) {
        twice++
    }
    by[FILENAME, id] = 1
    if (id in prints) {
        again++
    } else if (body in out) {
        resent++
    }
    prints[id] = 1
    if (!index ($0, "\"redelivered\":true") && first[id]++) {
        unmarked++
    }
    if (!(body in out)) {
        out[body] = 1
        lines_out++
    }
}

END {
    for (line in sent) {
        if (!(line in out)) {
            if (lost++ < 5) {
                print "lost: " line
            }
        }
    }
    print ""
    row("lines in", lines_in, "")
    row("lines out", lines_out, "")
    row("lost", lost, "")
    row("settled, then repeated", twice, "printed twice by one process")
    row("redelivered", again, \
        "printed once more by another process, and marked so")
    if (unmarked) {
        row("redelivered unmarked", unmarked, "")
    }
    if (resent) {
        row("sent twice", resent, \
            "sent, but not yet in the outbox, when the producer died")
    }
    if (foreign) {
        row("nobody sent", foreign, "")
    }
    printf "\n  %-24s", "per second"
    for (i = 1; i <= lives; i++) {
        printf " %12s", life[i]
    }
    printf "\n  %-24s", "  P  produced"
    for (i = 1; i <= lives; i++) {
        printf " %12s", commas(p[i])
    }
    printf "\n  %-24s", "  R  stored in outbox"
    for (i = 1; i <= lives; i++) {
        printf " %12s", commas(r[i])
    }
    printf "\n  %-24s", "  Q  transmitted"
    for (i = 1; i <= lives; i++) {
        printf " %12s", commas(q[i])
    }
    printf "\n  %-24s", "  C  consumed"
    for (i = 1; i <= lives; i++) {
        printf " %12s", commas(c[i])
    }
    printf "\n  %-24s", "T_delay p50"
    for (i = 1; i <= lives; i++) {
        printf " %12s", ms(p50[i])
    }
    printf "\n  %-24s", "        p99"
    for (i = 1; i <= lives; i++) {
        printf " %12s", ms(p99[i])
    }
    printf "\n  %-24s", "        max"
    for (i = 1; i <= lives; i++) {
        printf " %12s", ms(max[i])
    }
    printf "\n\n"
    wrong = lost + twice + unmarked + foreign
    if (wrong) {
        print "FAILED"
        exit 1
    }
    printf "Nothing lost, nothing settled twice: %s lines in %.1f s\n", \
        commas(lines_in), took / 1000
}
