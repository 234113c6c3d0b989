# Holds a dump of threads.c (the second file) against what that said of itself (the first). Prints what was compared,
# and what differs; the status says whether anything did.

FNR == NR && $1 == "expect" {
    wanted[$2] = ""
    for (i = 4; i <= NF; i++) wanted[$2] = wanted[$2] " " $i
    name[$2] = $3
}
FNR == NR && $1 == "interrupted" { stopped[$2] = $3 }
FNR == NR { next }

/^thread [0-9]+ \(tid/ { tid = $4; sub(/\).*/, "", tid); threads++ }
/^  #[0-9]+ / {
    pcs[tid] = pcs[tid] " " $2
    function_name = $3
    sub(/\+0x[0-9a-f]+$/, "", function_name)
    names[tid] = names[tid] " " function_name
    if (/\[interrupted by a signal\]/) signal[tid] = $2
    frames++
}
/^  end / || /unwinding ended/ { ended[tid] = $0 }

function miss(what) { print "DIFFERS: " what; bad++ }

END {
    chain["plain"] = " rest inner middle plain"
    for (i = 0; i < 41; i++) many = many " recurse"
    chain["deep"] = " rest" many " deep"
    chain["spinning"] = " leaf spinning"
    chain["handler"] = " rest one_argument"
    chain["altstack"] = " rest handler"
    chain["main"] = " main"
    outer["handler"] = " interrupted in_handler"
    outer["altstack"] = " interrupted on_other_stack"
    for (tid in wanted) {
        expected++
        if (!(tid in pcs)) miss("thread " tid " (" name[tid] ") is not there")
        if (!index(pcs[tid] " ", wanted[tid] " ")) miss(name[tid] " has" pcs[tid] ", not" wanted[tid])
        if (!index(names[tid] " ", chain[name[tid]] " ")) miss(name[tid] " has" names[tid] ", not" chain[name[tid]])
        if (!index(names[tid] " ", outer[name[tid]] " ")) miss(name[tid] " has" names[tid] ", not" outer[name[tid]])
        addresses += split(wanted[tid], parts, " ")
        if (tid in stopped) {
            addresses++
            if (signal[tid] != stopped[tid]) miss(name[tid] " was interrupted at " stopped[tid] ", not " signal[tid])
        }
        if (outer[name[tid]] != "" && !(tid in signal)) miss(name[tid] " has no interrupted frame")
    }
    if (expected == 0 || threads != expected) miss(threads " threads, not " expected)
    printf "%d threads, %d frames, %d addresses the program knows: %d differ\n", threads, frames, addresses, bad
    exit bad > 0
}
